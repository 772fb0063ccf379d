package kafka

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestATopicThatWasMadeAnewIsReadFromWhereTheGroupSays has a topic made anew while nobody polls, so that the client sees no time
// without it and, left alone, goes on at its old position.
func TestATopicThatWasMadeAnewIsReadFromWhereTheGroupSays(t *testing.T) {
	for name, props := range map[string][]string{
		"cooperative": nil,
		"eager":       {"partition.assignment.strategy", "range"},
		"consumer":    {"group.protocol", "consumer"},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, kfake.SeedTopics(1, "pedidos", "clientes"))
			values := func(prefix string, n int) (all []string) {
				for i := range n {
					all = append(all, fmt.Sprint(prefix, i))
				}
				return all
			}
			produce(t, c, "pedidos", 0, values("old", 5)...)
			produce(t, c, "clientes", 0, values("kept", 5)...)
			g := &recorder{}
			s := open(t, member(c, append(props, "topic.metadata.refresh.interval.ms", "100")...), g, "pedidos", "clientes")
			poll(t, s, func(got []task.Message) bool { return len(got) == 10 })
			part := task.Partition{Topic: "pedidos"}
			before := g.last(part)

			cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			admin := kadm.NewClient(cl)
			if _, err := admin.DeleteTopics(t.Context(), "pedidos"); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "pedidos"); err != nil {
				t.Fatal(err)
			}
			want := values("new", 8)
			produce(t, c, "pedidos", 0, want...)
			if err := s.LookForRemade(t.Context()); err != nil {
				t.Fatal(err)
			}
			produce(t, c, "clientes", 0, values("later", 3)...)
			got := poll(t, s, func(got []task.Message) bool {
				seen := map[string]bool{}
				for _, m := range got {
					seen[string(m.Value)] = true
				}
				return !slices.ContainsFunc(append(want, values("later", 3)...), func(v string) bool { return !seen[v] })
			})
			for _, m := range got {
				if m.Topic == "clientes" && m.Offset < 5 {
					t.Errorf("%s of a topic that is as it was is read again", m.Value)
				}
			}
			if after := g.last(part); after.TopicID == before.TopicID || after.Low != 0 {
				t.Errorf("assigned %+v, and before %+v", after, before)
			}
			if err := s.LookForRemade(t.Context()); err != nil {
				t.Fatal(err)
			}
			calls := g.log()
			poll(t, s, func([]task.Message) bool { return true })
			if g.log() != calls {
				t.Errorf("a topic that was made anew once is taken anew again: %s, then %s", calls, g.log())
			}
		})
	}
}
