package cluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestAClusterWhoseInternalTopicsAreLostGoesOnWhereItWas follows docs/OPERATIONS.md, "Disaster recovery": the connectors are
// registered again under their names, and their consumer groups know how far they were.
func TestAClusterWhoseInternalTopicsAreLostGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	c := start(t, 2)
	topic := c.topic("in", 3)
	config, file := c.sink(topic, 3)
	register := func() {
		t.Helper()
		c.do(c.workers[0], "POST", "/connectors", `{"name":"`+c.group+`","config":`+config+`}`, 201)
		worker.Eventually(t, 30*time.Second, "all tasks run", func() bool { return c.status(c.workers[1], c.group).running(3, anywhere) })
	}
	register()
	c.produce(topic, 3, 0, 300)
	c.delivered(file, 300, 30*time.Second)
	for i, w := range c.workers {
		if err := w.Stop(); err != nil {
			t.Fatalf("worker %d: %v", i, err)
		}
	}

	admin := kadm.NewClient(c.kafka)
	all, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := slices.DeleteFunc(all.Names(), func(name string) bool { return !strings.HasPrefix(name, c.group+"-") || name == topic })
	if len(lost) < 4 { // config, offsets, status, members
		t.Fatalf("the cluster has the internal topics %v", lost)
	}
	if _, err := admin.DeleteTopics(t.Context(), lost...); err != nil {
		t.Fatal(err)
	}
	worker.Eventually(t, 20*time.Second, "the internal topics are gone", func() bool {
		all, err := admin.ListTopics(t.Context())
		return err == nil && !slices.ContainsFunc(all.Names(), func(name string) bool { return slices.Contains(lost, name) })
	})

	for i := range c.workers {
		c.workers[i] = worker.Launch(t, c.props[i])
	}
	for _, w := range c.workers {
		w.Await(t)
	}
	if got := string(c.do(c.workers[1], "GET", "/connectors", "", 200)); got != "[]" {
		t.Errorf("connectors are %s, want none: their topic was lost", got)
	}
	register()
	c.produce(topic, 3, 300, 150)
	for line, n := range c.delivered(file, 450, 30*time.Second) {
		if n != 1 {
			t.Errorf("line %s was written %d times", line, n)
		}
	}
}
