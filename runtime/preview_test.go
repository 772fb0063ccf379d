package runtime

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func TestAPreviewReadsWithoutAGroupAndAsksThePlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 2)
		w.broker.produce("t", 1, []byte("k"), []byte("first"))
		w.broker.produce("t", 1, []byte("k"), []byte("second"))
		cfg := probeConfig("t", "endpoint.password", "geheim")
		w.create("c", cfg)
		w.awaitTasks("c", "RUNNING", 1)
		eventually(t, "delivered", func() bool { return len(w.sink.seen()) == 2 })
		must(t, w.Stop(t.Context(), "c"))
		sources := len(w.broker.requests())

		ask := func(req PreviewRequest) (string, error) {
			p, err := w.Preview(t.Context(), "ProbeSink", req)
			return fmt.Sprintf("%s %v %v", p.Connector, p.Record, p.Preview), err
		}
		if got, err := ask(PreviewRequest{Connector: "c", Topic: "t", Partition: 1, Offset: 1}); err != nil || got != "c {t 1 1} second at cluster-1 id-t epoch 0 with geheim" {
			t.Errorf("%s, %v", got, err)
		}
		// The epoch is that of the next delivery, and a stored secret stands behind [hidden].
		_, err := w.AlterOffsets(t.Context(), "c", []PartitionOffset{{map[string]any{"kafka_topic": "t", "kafka_partition": "1"}, map[string]any{"kafka_offset": "0"}}})
		must(t, err)
		shown, err := w.Connector(t.Context(), "c")
		must(t, err)
		if got, err := ask(PreviewRequest{Config: shown.Config, Topic: "t", Partition: 1, Offset: 0}); err != nil || got != "c {t 1 0} first at cluster-1 id-t epoch 1 with geheim" {
			t.Errorf("%s, %v", got, err)
		}
		if got, err := ask(PreviewRequest{Connector: "c", Topic: "t", Partition: 1, Offset: 9, Given: &GivenRecord{Value: []byte("given"), Timestamp: -1}}); err != nil || !strings.Contains(got, "{t 1 9} given") {
			t.Errorf("%s, %v", got, err)
		}
		for text, req := range map[string]PreviewRequest{
			"no record at offset 2":                   {Connector: "c", Topic: "t", Partition: 1, Offset: 2},
			"has no partition 2: it has 2 partitions": {Connector: "c", Topic: "t", Partition: 2},
			"has no partition 0: it has 0 partitions": {Connector: "c", Topic: "none"},
			"Connector none not found":                {Connector: "none", Topic: "t"},
			"The configuration has no name":           {Config: cfgOf("connector.class", "ProbeSink", "topics", "t"), Topic: "t"},
			"contains the following":                  {Config: cfgOf("name", "x", "connector.class", "ProbeSink"), Topic: "t"},
			"does not match request type":             {Config: cfgOf("name", "x", "connector.class", "FileStreamSink"), Topic: "t"},
		} {
			if _, err := ask(req); err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%+v: %v, want %s", req, err, text)
			}
		}
		if n := len(w.broker.requests()); n != sources || w.broker.committed("connect-c")["t-1"] != 0 {
			t.Errorf("a preview joined a group or committed: %d members were opened, offsets %v", n-sources, w.broker.committed("connect-c"))
		}
		if n := len(w.sink.seen()); n != 2 {
			t.Errorf("%d records are delivered", n)
		}
	})
}
