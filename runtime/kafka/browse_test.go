package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/runtime/task"
	"github.com/twmb/franz-go/pkg/kfake"
)

func TestBrowseShowsEachPartitionInOrderBetweenItsBounds(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(3, "dlq"))
	for p := range int32(3) {
		for i := range 5 {
			produce(t, c, "dlq", p, fmt.Sprintf("%d-%d", p, i))
		}
	}
	browse := func(from, to map[int32]int64, most int) (got []string) {
		t.Helper()
		err := Browse(t.Context(), BrowseConfig{Properties: client(c, "group.instance.id", "somebody"), Topic: "dlq", From: from, To: to}, func(m *task.Message) bool {
			got = append(got, fmt.Sprintf("%s@%d", m.Value, m.Offset))
			return len(got) < most
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for name, tt := range map[string]struct {
		from, to map[int32]int64
		most     int
		want     []string
	}{
		"all of two":             {nil, map[int32]int64{0: 2, 2: 2}, 100, []string{"0-0@0", "0-1@1", "2-0@0", "2-1@1"}},
		"a middle":               {map[int32]int64{1: 2}, map[int32]int64{1: 4}, 100, []string{"1-2@2", "1-3@3"}},
		"until it is enough":     {nil, map[int32]int64{0: 5, 1: 5}, 6, []string{"0-0@0", "0-1@1", "0-2@2", "0-3@3", "0-4@4", "1-0@0"}},
		"a bound past the end":   {map[int32]int64{0: 4}, map[int32]int64{0: 99}, 100, []string{"0-4@4"}},
		"nothing between bounds": {map[int32]int64{0: 3}, map[int32]int64{0: 3}, 100, nil},
	} {
		if got := browse(tt.from, tt.to, tt.most); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestBrowseEndsWithItsContextAndNamesATopicThatIsGone(t *testing.T) {
	c := cluster(t)
	see := func(*task.Message) bool { return true }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := Browse(ctx, BrowseConfig{Properties: client(c), Topic: "gone", To: map[int32]int64{0: 1}}, see)
	if err == nil || !strings.Contains(err.Error(), "read topic gone") {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = Browse(ctx, BrowseConfig{Properties: map[string]string{"bootstrap.servers": "127.0.0.1:1"}, Topic: "dlq", To: map[int32]int64{0: 1}}, see)
	if err == nil || !strings.Contains(err.Error(), "read topic dlq, partition 0") {
		t.Errorf("%v", err)
	}
}

func TestARecordThatIsTooLargeNamesTheLimits(t *testing.T) {
	err := produceError("dlq", ck.NewError(ck.ErrMsgSizeTooLarge, "Broker: Message size too large", false))
	class, _ := connector.Classify(err)
	for _, part := range []string{"topic dlq", "max.message.bytes", "max.request.size"} {
		if class != connector.ClassRejected || !strings.Contains(err.Error(), part) {
			t.Errorf("class %d, %v", class, err)
		}
	}
}
