package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepconnect/stepconnect/runtime/store"
	"github.com/stepconnect/stepconnect/runtime/task"
)

func TestAConnectorIsCreatedRunsAndDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 2)
		info := w.create("c", probeConfig("t", "tasks.max", "2"))
		if len(info.Tasks) != 2 {
			t.Errorf("standalone waits for the tasks: %v", info.Tasks)
		}
		if st, err := w.Status(t.Context(), "c"); err != nil || st.Connector.State != "RUNNING" || len(st.Tasks) != 2 {
			t.Errorf("the status must be there once the create is answered: %+v %v", st, err)
		}
		w.awaitTasks("c", "RUNNING", 2)
		w.broker.produce("t", 0, nil, []byte("a"))
		w.broker.produce("t", 1, nil, []byte("b"))
		eventually(t, "both records delivered and committed", func() bool {
			return len(w.sink.seen()) == 2 && w.broker.committed("connect-c")["t-0"] == 1 && w.broker.committed("connect-c")["t-1"] == 1
		})
		tc := w.sink.started()[0]
		if tc.ClusterID != "cluster-1" || w.sink.started()[0].TopicID("t")+w.sink.started()[1].TopicID("t") == "" || tc.Connector != "c" || tc.MaxInFlight != 64 {
			t.Errorf("%+v", tc)
		}
		info2, err := w.ServerInfo(t.Context())
		if err != nil || info2 != (ServerInfo{"1.2.3", "abc", "cluster-1"}) {
			t.Errorf("%+v %v", info2, err)
		}
	})
}

func TestAWriteOfHiddenKeepsTheStoredSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		info := w.create("c", probeConfig("t", "endpoint.password", "geheim", "consumer.override.sasl.jaas.config", "user=x password=y;"))
		for _, k := range []string{"endpoint.password", "consumer.override.sasl.jaas.config"} {
			if *info.Config[k] != "[hidden]" {
				t.Errorf("%s is %s", k, *info.Config[k])
			}
		}
		back := info.Config
		colour := "blue"
		back["colour"] = &colour
		if _, created, err := w.PutConfig(t.Context(), "c", back); err != nil || created {
			t.Fatal(created, err)
		}
		stored := w.view.get().Connectors["c"].Config
		if *stored["endpoint.password"] != "geheim" || *stored["colour"] != "blue" || *stored["consumer.override.sasl.jaas.config"] != "user=x password=y;" {
			t.Errorf("stored %v", withoutNulls(stored))
		}
		w.awaitTasks("c", "RUNNING", 1)
		if got := last(w.sink.given()); got != "geheim" {
			t.Error("the sink got", got)
		}
		if _, err := w.Create(t.Context(), CreateRequest{Name: "d", Config: back}); err == nil {
			t.Error("another name in the configuration must be refused")
		}
		delete(back, "name")
		_, err := w.Create(t.Context(), CreateRequest{Name: "d", Config: back})
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Message, "2 error(s)") || !strings.Contains(e.Message, "nothing is stored under this key") {
			t.Errorf("[hidden] on a new connector: %v", err)
		}
		back["name"] = cfgOf("name", "c")["name"]
		v, err := w.Validate(t.Context(), "ProbeSink", back)
		if err != nil || v.ErrorCount != 0 {
			t.Errorf("%d errors, %v: %v", v.ErrorCount, err, v)
		}
		if strings.Contains(fmt.Sprint(v), "geheim") {
			t.Error("the secret is in the validation")
		}
	})
}

func TestSecretsAreInNoAnswerStatusOrLog(t *testing.T) {
	t.Setenv("PROBE_PASSWORD", "geheim-aus-env")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.sink.set(func(p *probe) { p.openErr = errors.New("refused") })
		w.create("c", probeConfig("t", "endpoint.password", "${env:PROBE_PASSWORD}", "my.secret", "geheim-2", "tasks.max", "1"))
		w.awaitTasks("c", "FAILED", 1)
		if got := w.sink.given()[0]; got != "geheim-aus-env" {
			t.Error("the placeholder is not resolved:", got)
		}
		info, err := w.Connector(t.Context(), "c")
		must(t, err)
		if *info.Config["endpoint.password"] != "${env:PROBE_PASSWORD}" {
			t.Error("placeholders stay placeholders:", *info.Config["endpoint.password"])
		}
		tasks, err := w.Tasks(t.Context(), "c")
		must(t, err)
		v, err := w.Validate(t.Context(), "ProbeSink", probeConfig("t", "name", "c", "tasks.max", "${env:PROBE_PASSWORD}"))
		must(t, err)
		if v.ErrorCount != 2 {
			t.Errorf("%d errors", v.ErrorCount)
		}
		st, err := w.Status(t.Context(), "c")
		must(t, err)
		entries, _, err := w.config.Read(t.Context(), 0)
		must(t, err)
		for _, e := range entries {
			if strings.Contains(string(e.Value), "geheim-aus-env") {
				t.Error("a resolved value is stored:", string(e.Value))
			}
		}
		shown := fmt.Sprint(info, tasks, st, w.logs.String())
		for _, kv := range v.Configs {
			shown += fmt.Sprint(kv.Value.Errors)
			if kv.Value.Value != nil {
				shown += *kv.Value.Value
			}
		}
		if strings.Contains(shown, "geheim") {
			t.Error("a secret is shown: ", shown)
		}
	})
}

func TestAPatchCannotRenameAConnector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.create("c", probeConfig("t"))
		_, err := w.PatchConfig(t.Context(), "c", cfgOf("name", "d"))
		requireError(t, err, 400, "Connector name configuration (d) doesn't match connector name in the URL (c)")
		_, err = w.PatchConfig(t.Context(), "nobody", cfgOf("a", "b"))
		requireError(t, err, 404, "Connector nobody not found")
	})
}

func TestSubKeysOfAConverterThatIsNotNamedAreAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		cfg := probeConfig("t", "value.converter.schemas.enable", "false")
		delete(cfg, "value.converter")
		_, err := w.Create(t.Context(), CreateRequest{Name: "c", Config: cfg})
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 || !strings.Contains(e.Message, "value.converter") {
			t.Error(err)
		}
	})
}

func TestVersionsOfEveryKindOfPluginAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		versions := func(v string) map[string]*string {
			return probeConfig("t", "name", "c", "header.converter", "StringConverter", "transforms", "f", "transforms.f.type", "org.apache.kafka.connect.transforms.Filter", "transforms.f.predicate", "p",
				"predicates", "p", "predicates.p.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
				"key.converter.plugin.version", v, "value.converter.plugin.version", v, "header.converter.plugin.version", v,
				"transforms.f.plugin.version", v, "predicates.p.plugin.version", v)
		}
		v, err := w.Validate(t.Context(), "ProbeSink", versions("[2.0,3.0)"))
		must(t, err)
		var wrong []string
		for _, kv := range v.Configs {
			for _, text := range kv.Value.Errors {
				wrong = append(wrong, kv.Value.Name)
				if !strings.Contains(text, "not found that matches the version range [2.0,3.0), available versions: [1.0]") {
					t.Errorf("%s: %s", kv.Value.Name, text)
				}
			}
		}
		slices.Sort(wrong)
		if want := "[header.converter.plugin.version key.converter.plugin.version predicates.p.plugin.version transforms.f.plugin.version value.converter.plugin.version]"; fmt.Sprint(wrong) != want || v.ErrorCount != 5 {
			t.Errorf("%d errors, of %v", v.ErrorCount, wrong)
		}
		for _, version := range []string{"1.0", "latest", "[1.0,2.0)"} {
			w.create("c", versions(version))
			w.awaitTasks("c", "RUNNING", 1)
			must(t, w.Delete(t.Context(), "c"))
		}
	})
}

func TestStandaloneWordsOfUnknownThingsAreItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.create("c", probeConfig("t"))
		_, err := w.Restart(t.Context(), "x", false, false)
		requireError(t, err, 404, "Connector x not found")
		_, err = w.Restart(t.Context(), "x", true, false)
		requireError(t, err, 404, "Unknown connector: x")
		requireError(t, w.RestartTask(t.Context(), "c", 7), 404, "Task c-7 not found")
		requireError(t, w.Stop(t.Context(), "x"), 404, "Unknown connector x")
	})
}

func TestTopicTrackingThatIsOffAnswers403(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]string{"topic.tracking.enable": "false"})
		_, err := w.Topics(t.Context(), "c")
		requireError(t, err, 403, "Topic tracking is disabled.")
		requireError(t, w.ResetTopics(t.Context(), "c"), 403, "Topic tracking is disabled.")
	})
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]string{"topic.tracking.allow.reset": "false"})
		requireError(t, w.ResetTopics(t.Context(), "c"), 403, "Topic tracking reset is disabled.")
	})
}

func TestATopicThatWasResetIsRecordedAgainWithItsNextRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		active := func() string {
			l, err := w.Topics(t.Context(), "c")
			must(t, err)
			return strings.Join(l, ",")
		}
		for range 2 {
			w.broker.produce("t", 0, nil, []byte("x"))
			eventually(t, "the topic is active", func() bool { return active() == "t" })
			must(t, w.ResetTopics(t.Context(), "c"))
			if got := active(); got != "" {
				t.Error("after the reset:", got)
			}
		}
	})
}

func TestTopicsThatComeLaterAreReadWhenTheyMatchThePattern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("orders-1", 1)
		w.broker.create("orders-dlq-not", 1)
		cfg := probeConfig("")
		delete(cfg, "topics")
		pattern := "orders-[0-9]+"
		cfg["topics.regex"] = &pattern
		w.create("c", cfg)
		w.awaitTasks("c", "RUNNING", 1)
		w.broker.create("orders-2", 1)
		w.broker.produce("orders-1", 0, nil, []byte("a"))
		w.broker.produce("orders-2", 0, nil, []byte("b"))
		w.broker.produce("orders-dlq-not", 0, nil, []byte("no"))
		eventually(t, "records of both topics", func() bool { return len(w.sink.seen()) == 2 })
	})
}

func TestOverridesObeyTheWorkersPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy, key string
		refused     bool
	}{
		{"All", "fetch.min.bytes", false},
		{"None", "sasl.mechanism", true},
		{"Principal", "sasl.mechanism", false},
		{"Principal", "fetch.min.bytes", true},
		{"Allowlist", "fetch.min.bytes", false},
		{"Allowlist", "sasl.mechanism", true},
	} {
		t.Run(tt.policy+" "+tt.key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, map[string]string{"connector.client.config.override.policy": tt.policy, "connector.client.config.override.allowlist": "fetch.min.bytes"})
				_, err := w.Create(t.Context(), CreateRequest{Name: "c", Config: probeConfig("t", "consumer.override."+tt.key, "1")})
				want := fmt.Sprintf("The '%s' policy does not allow '%s' to be overridden in the connector configuration.", tt.policy, tt.key)
				if tt.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), want) {
					t.Error(err)
				}
			})
		})
	}
}

func TestADeletedConnectorLeavesNothingButItsGroupAndItsReplayEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.broker.produce("t", 0, nil, []byte("a"))
		w.create("c", probeConfig("t"))
		eventually(t, "committed", func() bool { return w.broker.committed("connect-c")["t-0"] == 1 })
		must(t, w.Stop(t.Context(), "c"))
		_, err := w.ResetOffsets(t.Context(), "c")
		must(t, err)
		must(t, w.Delete(t.Context(), "c"))
		s := w.view.get()
		if len(s.Connectors)+len(s.Targets)+len(s.ConnectorStatus)+len(s.TaskStatus)+len(s.Topics) != 0 {
			t.Errorf("left: %+v", s)
		}
		if r := s.Replays["c"]; len(r) != 1 || r[0] != (store.Replay{Topic: "t", Epoch: 1, Below: 1}) {
			t.Errorf("%+v", r)
		}
		// Made again under its name it delivers the record again, under the new epoch.
		w.create("c", probeConfig("t"))
		eventually(t, "delivered again", func() bool { return len(w.sink.seen()) == 2 })
		if e := w.sink.started()[1].ReplayEpoch("t", 0, 0); e != 1 {
			t.Error("epoch", e)
		}
	})
}

func TestARewindRaisesTheEpochBeforeTheOffsetsMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 2)
		for i := range 6 {
			w.broker.produce("t", 0, nil, fmt.Append(nil, i))
		}
		w.create("c", probeConfig("t"))
		eventually(t, "all read", func() bool { return w.broker.committed("connect-c")["t-0"] == 6 })
		must(t, w.Stop(t.Context(), "c"))
		alter := func(to any) {
			t.Helper()
			var offset map[string]any
			if to != nil {
				offset = map[string]any{"kafka_offset": to}
			}
			_, err := w.AlterOffsets(t.Context(), "c", []PartitionOffset{{map[string]any{"kafka_topic": "t", "kafka_partition": 0}, offset}})
			must(t, err)
		}
		want := func(epoch int, below int64) {
			t.Helper()
			if r := w.view.get().Replays["c"]; len(r) != 1 || r[0] != (store.Replay{Topic: "t", Epoch: epoch, Below: below}) {
				t.Errorf("got %+v, want epoch %d below %d", r, epoch, below)
			}
		}
		alter("2")
		want(1, 6)
		w.broker.produce("t", 0, nil, []byte("6"))
		alter(float64(1))
		want(2, 7)
		alter(7) // forward: nothing is read again
		want(2, 7)
		alter(nil)
		want(3, 7)
		o, err := w.Offsets(t.Context(), "c")
		must(t, err)
		for _, p := range o.Offsets {
			if p.Partition["kafka_partition"] == int32(0) {
				t.Errorf("the offset should be gone: %v", o)
			}
		}
	})
}

func TestAConnectorIsCreatedWhereItsInitialOffsetsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		for i := range 4 {
			w.broker.produce("t", 0, nil, fmt.Append(nil, "v", i))
		}
		at := func(topic string, offset any) []PartitionOffset {
			return []PartitionOffset{{map[string]any{"kafka_topic": topic, "kafka_partition": 0}, map[string]any{"kafka_offset": offset}}}
		}
		info, err := w.Create(t.Context(), CreateRequest{Name: "c", Config: probeConfig("t"), InitialOffsets: at("t", 2)})
		must(t, err)
		if info.OffsetsStatus != "The offsets for this connector have been altered successfully" || len(info.Tasks) != 1 {
			t.Errorf("answered %+v", info)
		}
		eventually(t, "the rest is read", func() bool { return w.broker.committed("connect-c")["t-0"] == 4 })
		if got := fmt.Sprint(w.sink.seen()); got != "[v2 v3]" {
			t.Errorf("delivered %s", got)
		}
		for state, want := range map[string]string{"paused": "PAUSED", "STOPPED": "STOPPED"} {
			_, err := w.Create(t.Context(), CreateRequest{Name: state, Config: probeConfig("t"), InitialState: state, InitialOffsets: at("t", "3")})
			must(t, err)
			if st, err := w.Status(t.Context(), state); err != nil || st.Connector.State != want || len(st.Tasks) != 0 {
				t.Errorf("created %s it is %+v, %v", state, st, err)
			}
			if got := w.broker.committed("connect-" + state)["t-0"]; got != 3 {
				t.Errorf("created %s its offset is %d", state, got)
			}
		}
		for name, bad := range map[string]struct {
			offsets []PartitionOffset
			status  int
		}{
			"none": {[]PartitionOffset{}, 400}, "not a number": {at("t", "x"), 400}, "negative": {at("t", -1), 400}, "a topic that is not there": {at("ghost", 1), 400},
		} {
			_, err := w.Create(t.Context(), CreateRequest{Name: "bad", Config: probeConfig("t"), InitialOffsets: bad.offsets})
			requireError(t, err, bad.status, "")
			if _, err := w.Connector(t.Context(), "bad"); err == nil {
				t.Errorf("%s: the connector was left over", name)
			}
		}
		_, err = w.Create(t.Context(), CreateRequest{Name: "c", Config: probeConfig("t"), InitialOffsets: at("t", 0)})
		requireError(t, err, 409, "Connector c already exists")
		if got := w.broker.committed("connect-c")["t-0"]; got != 4 {
			t.Errorf("a refused creation has moved the offset to %d", got)
		}
	})
}

func TestASubscribedTopicThatDoesNotExistIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.create("c", probeConfig("ghost"))
		w.create("p", probeConfig("", "topics.regex", "ghost.*"))
		warning := func(name string) string {
			st, err := w.TaskStatus(t.Context(), name, 0)
			if err != nil {
				return err.Error()
			}
			return st.Warning
		}
		eventually(t, "the statuses tell it", func() bool {
			return strings.Contains(warning("c"), "do not exist, or that the client may not see: ghost;") && strings.Contains(warning("p"), "no topic that there is matches topics.regex")
		})
		if a, err := w.Waiting(t.Context(), "c"); err != nil || len(a.MissingTopics) != 1 || a.MissingTopics[0] != "ghost" {
			t.Errorf("waiting is %+v, %v", a, err)
		}
		w.broker.create("ghost", 1)
		w.broker.produce("ghost", 0, nil, []byte("v"))
		eventually(t, "both read it", func() bool { return len(w.sink.seen()) == 2 })
		eventually(t, "the warnings are gone", func() bool { return warning("c") == "" && warning("p") == "" })
	})
}

func TestOffsetsThatCannotBeAlteredAreExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		must(t, w.Stop(t.Context(), "c"))
		entry := func(topic any, partition any, offset map[string]any) []PartitionOffset {
			return []PartitionOffset{{map[string]any{"kafka_topic": topic, "kafka_partition": partition}, offset}}
		}
		at := func(v any) map[string]any { return map[string]any{"kafka_offset": v} }
		for _, tt := range []struct {
			offsets []PartitionOffset
			status  int
			message string
		}{
			{entry("t", 5, at(1)), 400, "Failed to alter consumer group offsets for connector c: partition 5 of topic t does not exist"},
			{entry("gone", 0, at(1)), 400, "Failed to alter consumer group offsets for connector c: partition 0 of topic gone does not exist"},
			{entry("t", 0, at(-1)), 400, "Failed to modify offsets for sink connector c: offset -1 of t-0 is negative"},
			{entry("t", nil, at(1)), 400, "Kafka partitions must be valid numbers and may not be null"},
			{entry("t", 0, at(nil)), 400, "Failed to parse the following Kafka offset value in the provided offsets: 'null'. Offset values for sink connectors need to be integers."},
			{entry("t", 1.5, at(1)), 400, "Failed to parse the following Kafka partition value in the provided offsets: '1.5'. Partition values for sink connectors need to be integers."},
			{nil, 400, "Partitions / offsets need to be provided for an alter offsets request"},
		} {
			_, err := w.AlterOffsets(t.Context(), "c", tt.offsets)
			requireError(t, err, tt.status, tt.message)
		}
		// A consumer that nobody knows holds the group.
		w.broker.mu.Lock()
		w.broker.members["connect-c"] = append(w.broker.members["connect-c"], &member{})
		w.broker.mu.Unlock()
		_, err := w.ResetOffsets(t.Context(), "c")
		var e *Error
		if !errors.As(err, &e) || e.Status != 500 || !strings.HasPrefix(e.Message, "Failed to reset consumer group offsets for connector c either because its tasks haven't stopped completely yet") {
			t.Error(err)
		}
		w.broker.mu.Lock()
		w.broker.members["connect-c"] = nil
		w.broker.mu.Unlock()
		_, err = w.ResetOffsets(t.Context(), "c")
		must(t, err)
	})
}

func TestAConnectorOfAnotherClusterIsAskedForThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, map[string]string{"sasl.mechanism": "PLAIN", "consumer.sasl.mechanism": "SCRAM-SHA-512", "security.protocol": "SASL_SSL", "ssl.client.auth": "none"})
		w.broker.create("t", 1)
		w.create("c", probeConfig("t", "consumer.override.bootstrap.servers", "other:9092", "admin.override.bootstrap.servers", "other:9092", "consumer.override.group.id", "g"))
		w.awaitTasks("c", "RUNNING", 1)
		r := w.broker.requests()[0]
		for k, want := range map[string]string{"bootstrap.servers": "other:9092", "group.id": "g", "sasl.mechanism": "SCRAM-SHA-512", "security.protocol": "SASL_SSL", "client.id": "connector-consumer-c-0", "ssl.client.auth": ""} {
			if r.Properties[k] != want {
				t.Errorf("%s is %q", k, r.Properties[k])
			}
		}
		if r.StartAt != "earliest" {
			t.Error(r.StartAt)
		}
		_, err := w.Offsets(t.Context(), "c")
		must(t, err)
		if last := last(w.broker.admins()); last["bootstrap.servers"] != "other:9092" || last["sasl.mechanism"] != "PLAIN" {
			t.Errorf("%v", last)
		}
	})
}

func TestAConnectorWithADeadLetterQueueGetsItsTopicMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t", "errors.tolerance", "all", "errors.deadletterqueue.topic.name", "dlq", "errors.deadletterqueue.topic.replication.factor", "1"))
		w.awaitTasks("c", "RUNNING", 1)
		w.create("d", probeConfig("t", "errors.deadletterqueue.topic.name", "dlq3"))
		st := w.awaitTasks("d", "FAILED", 1)
		if trace := st.Tasks[0].Trace; !strings.Contains(trace, "could not initialize dead letter queue with topic=dlq3") && !strings.Contains(trace, "Could not initialize dead letter queue with topic=dlq3") {
			t.Error(trace)
		}
		if n := w.broker.factor("dlq"); n != 1 {
			t.Error("replication factor", n)
		}
	})
}

func TestHostileEntriesOfTheConfigLogAreSkippedWithAWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		_, err := w.config.Append(t.Context(), store.Entry{Key: []byte("connector-evil"), Value: []byte(`{"prop`)}, store.Entry{Key: []byte("\xff")})
		must(t, err)
		w.awaitTasks("c", "RUNNING", 1)
		eventually(t, "two warnings", func() bool { return strings.Count(w.logs.String(), "cannot be read and is skipped") == 2 })
		if names, err := w.Connectors(t.Context()); err != nil || len(names) != 1 {
			t.Error(names, err)
		}
	})
}

func TestAConnectorOfAnUnknownClassIsShownAsFailedAndCanBeDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		// Such as a JVM cluster's topic may hold.
		_, err := w.config.Append(t.Context(), store.ConnectorEntry("jdbc", cfgOf("name", "jdbc", "connector.class", "io.confluent.Jdbc")))
		must(t, err)
		eventually(t, "FAILED", func() bool {
			st, err := w.Status(t.Context(), "jdbc")
			return err == nil && st.Connector.State == "FAILED" && len(st.Tasks) == 1 && st.Tasks[0].State == "FAILED" && st.Type == "unknown"
		})
		st, err := w.Status(t.Context(), "jdbc")
		must(t, err)
		if !strings.Contains(st.Connector.Trace, "Failed to find any class that implements Connector and which name matches io.confluent.Jdbc") {
			t.Error(st.Connector.Trace)
		}
		must(t, w.Delete(t.Context(), "jdbc"))
		if _, err := w.Status(t.Context(), "jdbc"); err == nil {
			t.Error("status is left")
		}
	})
}

func TestAWriteThatCannotBeLoggedSaysThatItMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.Herder.opts.ConfigLog = brokenLog{w.config}
		_, err := w.Create(t.Context(), CreateRequest{Name: "c", Config: probeConfig("t")})
		if err == nil || !strings.HasPrefix(err.Error(), "Failed to write to config topic") {
			t.Error(err)
		}
		if names, err := w.Connectors(t.Context()); err != nil || len(names) != 0 {
			t.Error(names, err)
		}
	})
}

// brokenLog cannot be written to.
type brokenLog struct{ store.Log }

func TestStandaloneKeepsReplayEpochsOverARestart(t *testing.T) {
	path := t.TempDir() + "/connect.offsets"
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.end()
		var err error
		w.config, err = store.OpenMemoryLog(path)
		must(t, err)
		w.run(nil)
		w.broker.create("t", 1)
		w.broker.produce("t", 0, nil, []byte("a"))
		w.create("c", probeConfig("t"))
		eventually(t, "committed", func() bool { return w.broker.committed("connect-c")["t-0"] == 1 })
		must(t, w.Stop(t.Context(), "c"))
		_, err = w.ResetOffsets(t.Context(), "c")
		must(t, err)
		w.end()

		w.config, err = store.OpenMemoryLog(path)
		must(t, err)
		w.status, err = store.OpenMemoryLog("")
		must(t, err)
		w.run(nil)
		if names, err := w.Connectors(t.Context()); err != nil || len(names) != 0 {
			t.Error("connectors are in memory only:", names, err)
		}
		w.create("c", probeConfig("t"))
		w.awaitTasks("c", "RUNNING", 1)
		if e := last(w.sink.started()).ReplayEpoch("t", 0, 0); e != 1 {
			t.Error("epoch", e)
		}
	})
}

func TestCommitsOfTheHerderCarryTheTasksMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.broker.create("t", 1)
		w.create("c", probeConfig("t"))
		must(t, w.Stop(t.Context(), "c"))
		_, err := w.AlterOffsets(t.Context(), "c", []PartitionOffset{{map[string]any{"kafka_topic": "t", "kafka_partition": 0}, map[string]any{"kafka_offset": 3}}})
		must(t, err)
		w.broker.mu.Lock()
		defer w.broker.mu.Unlock()
		p := task.Partition{Topic: "t"}
		if got := w.broker.groups["connect-c"][p]; got != (task.Position{Partition: p, Offset: 3, Metadata: task.CleanMetadata("id-t")}) {
			t.Errorf("%+v", got)
		}
	})
}

func TestClusterWideLevelsReachThisWorkerAndOldOnesDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.end()
		_, err := w.config.Append(t.Context(), store.LoggerEntry("from.before", "DEBUG"))
		must(t, err)
		w.run(nil)
		names, err := w.SetLogger(t.Context(), "from.now", "debug", true)
		if err != nil || len(names) != 0 {
			t.Error(names, err)
		}
		all, err := w.Loggers(t.Context())
		must(t, err)
		if all["from.now"].Level != "DEBUG" || all["from.before"].Level != "" {
			t.Errorf("%+v", all)
		}
	})
}

func TestWhatIsWaitedForEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.writing <- struct{}{} // a write that does not end
		ctx, cancel := testTimeout(t, time.Second)
		defer cancel()
		if err := w.Pause(ctx, "c"); !errors.Is(err, ctx.Err()) || err == nil {
			t.Error(err)
		}
		<-w.writing
	})
}

func TestAConnectorFileIsCheckedWithoutAWorkerThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		w.end()
		path := write(t, "c.json", "{\n \"name\": \"c\",\n \"connector.class\": \"ProbeSink\",\n \"tasks.max\": 0,\n \"errors.tolerance\": \"some\"\n}")
		f, err := LoadConnectorFile(path)
		must(t, err)
		err = w.Check(t.Context(), f)
		for _, want := range []string{path + ":4: Invalid value 0 for configuration tasks.max", path + ":5: Invalid value some", path + ": Must configure one of topics or topics.regex"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		f, err = LoadConnectorFile(write(t, "c.properties", "name=c\nconnector.class=ProbeSink\ntopics=t\n"))
		must(t, err)
		must(t, w.Check(t.Context(), f))
	})
}

func TestAWorkersConfigurationPrintsNoSecret(t *testing.T) {
	c, _, err := ParseWorkerConfig(t.Context(), standaloneRaw("consumer.sasl.jaas.config", "password=geheim;", "ssl.key.password", "geheim"), false, nil)
	must(t, err)
	for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), c.LogValue().String()} {
		if strings.Contains(shown, "geheim") || !strings.Contains(shown, "[hidden]") {
			t.Error(shown)
		}
	}
}
