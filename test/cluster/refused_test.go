package cluster

import (
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kadm"
)

func TestAWorkerThatCannotBelongToTheClusterEndsWithTheReason(t *testing.T) {
	t.Parallel()
	c := start(t, 1)
	other := stack.Name(t)
	if _, err := kadm.NewClient(c.kafka).CreateTopic(t.Context(), 1, 1, nil, other+"-plain"); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(c.kafka).CreateTopic(t.Context(), 3, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, other+"-wide"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"the group of a cluster with other topics", map[string]string{"group.id": c.group}, "another cluster of workers with another config.storage.topic"},
		{"the config topic of another cluster", map[string]string{"config.storage.topic": c.group + "-configs"}, "belongs to the cluster with group.id " + c.group},
		{"another status topic than the others", map[string]string{"group.id": c.group, "config.storage.topic": c.group + "-configs"}, "all workers of a cluster name the same"},
		{"a config topic that is not compacted", map[string]string{"config.storage.topic": other + "-plain"}, "is required to have 'cleanup.policy=compact'"},
		{"a config topic of three partitions", map[string]string{"config.storage.topic": other + "-wide"}, "is required to have a single partition"},
		{"more replicas than brokers", map[string]string{"config.storage.replication.factor": "3"}, "config.storage.topic"},
		{"a session that the broker refuses", map[string]string{"session.timeout.ms": "10", "heartbeat.interval.ms": "3"}, "session.timeout.ms"},
		{"the address of a worker that lives", map[string]string{"group.id": c.group, "config.storage.topic": c.group + "-configs", "status.storage.topic": c.group + "-status",
			"rest.advertised.host.name": "127.0.0.1", "rest.advertised.port": c.workers[0].URL[strings.LastIndexByte(c.workers[0].URL, ':')+1:]}, "is another process"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			props := worker.Distributed(t, c.bootstrap, stack.Name(t))
			maps.Copy(props, tt.change)
			w := worker.Launch(t, props)
			if err := w.Ended(t, 30*time.Second); err == nil || !strings.Contains(w.LogTail(), tt.want) {
				t.Errorf("%v\n%s", err, w.LogTail())
			}
		})
	}
	c.do(c.workers[0], "GET", "/connectors", "", 200)
}

func TestABrokerRestartEndsNoWorker(t *testing.T) {
	t.Parallel()
	kafka := stack.PrivateKafka(t, 1)
	c := startOn(t, kafka.Bootstrap(), 2)
	topic := c.topic("in", 2)
	config, file := c.sink(topic, 2)
	c.do(c.workers[0], "POST", "/connectors", `{"name":"c","config":`+config+`}`, 201)
	worker.Eventually(t, 20*time.Second, "all run", func() bool { return c.status(c.workers[0], "c").running(2, anywhere) })
	c.produce(topic, 2, 0, 100)
	c.delivered(file, 100, 20*time.Second)

	kafka.Nodes[0].Stop(10 * time.Second)
	for _, w := range c.workers {
		c.do(w, "GET", "/connectors/c", "", 200)
	}
	props := maps.Clone(c.props[0])
	props["listeners"] = worker.Distributed(t, c.bootstrap, c.group)["listeners"]
	late := worker.Launch(t, props)
	worker.Eventually(t, 10*time.Second, "a worker that starts now tells which broker it waits for", func() bool {
		res, err := late.Get(t.Context(), "/health")
		return err == nil && res.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(res.Body), "reaching the Kafka brokers at "+kafka.Bootstrap())
	})
	if err := kafka.Nodes[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.produce(topic, 2, 100, 100)
	c.delivered(file, 200, 60*time.Second)
	late.Await(t)
	c.do(late, "GET", "/connectors/c", "", 200)
	c.workers = append(c.workers, late)
	for _, w := range c.workers {
		c.do(w, "PUT", "/connectors/c/pause", "", 202)
		c.do(w, "PUT", "/connectors/c/resume", "", 202)
	}
	worker.Eventually(t, 30*time.Second, "all run", func() bool { return c.status(c.workers[1], "c").running(2, anywhere) })
	if !scale.Long() {
		return
	}
	kafka.Nodes[0].Kill()
	for _, w := range c.workers {
		if err := w.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range c.workers {
		if err := w.Ended(t, 60*time.Second); err != nil {
			t.Errorf("a worker without brokers ended with %v", err)
		}
	}
}
