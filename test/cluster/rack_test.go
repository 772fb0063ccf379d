package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTasksFetchFromTheReplicaInTheirWorkersRack has the leader of a partition in one rack and the worker in another, whose
// name it knows by an alias only. The brokers' own logs tell who gave the records out.
func TestTasksFetchFromTheReplicaInTheirWorkersRack(t *testing.T) {
	t.Parallel()
	brokers := stack.PrivateKafka(t, 3, stack.WithRacks("sae1-az1", "sae1-az2", "sae1-az3"), stack.WithRequestLog())
	c := startWith(t, brokers.Bootstrap(), 1, map[string]string{
		"client.rack": "sa-east-1b", "client.rack.aliases": "sa-east-1a:sae1-az1,sa-east-1b:sae1-az2,sa-east-1c:sae1-az3",
		"config.storage.replication.factor": "3", "offset.storage.replication.factor": "3", "status.storage.replication.factor": "3",
	})
	topic := c.group + "-in"
	c.createOn(topic, 1, 2, 3)
	file := filepath.Join(t.TempDir(), "out.txt")
	c.do(c.workers[0], "PUT", "/connectors/"+c.group+"/config",
		fmt.Sprintf(`{"connector.class":"FileStreamSink","tasks.max":"1","topics":%q,"file":%q}`, topic, file), 201)
	client := "connector-consumer-" + c.group + "-0"
	for i := range 3 {
		c.produce(topic, 1, i*500, 500)
		c.delivered(file, (i+1)*500, 30*time.Second)
	}
	worker.Eventually(t, 10*time.Second, "the follower's log tells of what it gave out", func() bool { return gaveOut(t, brokers.Nodes[1], client) > 0 })
	leader, follower, other := gaveOut(t, brokers.Nodes[0], client), gaveOut(t, brokers.Nodes[1], client), gaveOut(t, brokers.Nodes[2], client)
	if leader != 0 || other != 0 {
		t.Errorf("the leader gave out %d bytes of records and the follower in the third rack %d, want none", leader, other)
	}
	t.Logf("the follower in the worker's rack gave out %d bytes of records, the leader %d", follower, leader)

	// A rack that is gone is read from nobody, and the records come all the same.
	brokers.Nodes[1].Kill()
	c.produce(topic, 1, 1500, 500)
	c.delivered(file, 2000, time.Minute)
}

// createOn makes a topic of one partition with these replicas, the first of which leads.
func (c *cluster) createOn(topic string, replicas ...int32) {
	c.t.Helper()
	assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assignment.Replicas = replicas
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, -1, -1
	rt.ReplicaAssignment = append(rt.ReplicaAssignment, assignment)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(c.t.Context(), c.kafka)
	if err != nil || len(res.Topics) != 1 || res.Topics[0].ErrorCode != 0 {
		c.t.Fatalf("create %s: %v, %+v", topic, err, res)
	}
}

// gaveOut adds up the bytes of records that a node has sent to a client, by the node's own log of requests.
func gaveOut(t *testing.T, node *stack.Server, client string) (bytes int) {
	t.Helper()
	f, err := os.Open(node.Log())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, text, ok := strings.Cut(lines.Text(), "Completed request:")
		if !ok || !strings.Contains(text, client) {
			continue
		}
		var done struct {
			Header struct {
				Kind   string `json:"requestApiKeyName"`
				Client string `json:"clientId"`
			} `json:"requestHeader"`
			Response struct {
				Responses []struct {
					Partitions []struct {
						Bytes int `json:"recordsSizeInBytes"`
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &done); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if done.Header.Kind != "FETCH" || done.Header.Client != client {
			continue
		}
		for _, topic := range done.Response.Responses {
			for _, p := range topic.Partitions {
				bytes += p.Bytes
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return bytes
}
