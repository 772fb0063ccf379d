package badinput

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
)

// newRegistryTrial is a trial whose converters ask a registry of its own.
func newRegistryTrial(t *testing.T, o registry.Options, settings map[string]string) (*trial, *registry.Server) {
	t.Helper()
	r, err := registry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	x := newTrial(t, settings)
	x.events = &events{t: t, registry: r}
	for _, role := range []string{"key", "value"} {
		x.config[role+".converter"] = avroConverter
		x.config[role+".converter.schema.registry.url"] = r.URL()
		x.config[role+".converter.max.retries"] = "1"
		x.config[role+".converter.retries.wait.ms"] = "10"
	}
	return x, r
}

// badRegistry is a registry that gives no schema.
type badRegistry struct {
	name     string
	state    string
	said     []string
	settings func(t *testing.T) map[string]string
	later    bool // it has given the first schemas
	fault    registry.Fault
}

// unhurried leaves time to see the first failure: a restarted task would fail at the key's schema.
func unhurried(*testing.T) map[string]string {
	return map[string]string{"errors.restart.backoff.ms": "5000", "errors.restart.backoff.max.ms": "5000"}
}

func badRegistries() []badRegistry {
	down := registry.Fault{Down: true}
	broken := registry.Fault{Status: http.StatusInternalServerError, Code: 50001, Message: "Error in the backend data store"}
	none := func(*testing.T) map[string]string { return nil }
	patient := func(*testing.T) map[string]string { return map[string]string{"errors.retry.timeout": "-1"} }
	return []badRegistry{
		{"a registry that is down at the start", failed, []string{"partition 0, offset ", "KEY_CONVERTER", "cannot be reached for schema id 1", "errors.restart.enable"}, none, false, down},
		{"a registry that goes down later", failed, []string{"partition 0, offset ", "VALUE_CONVERTER", "cannot be reached for schema id 3", "errors.restart.enable"}, unhurried, true, down},
		{"a registry that fails", failed, []string{"partition 0, offset ", "KEY_CONVERTER", "status 500 (Error in the backend data store; error code 50001)"}, none, false, broken},
		{"a registry that is down at the start, with errors.retry.timeout=-1", warned, []string{"offset 0", "cannot be reached for schema id 1"}, patient, false, down},
		{"a registry that goes down later, with errors.retry.timeout=-1", warned, []string{"offset 3", "cannot be reached for schema id 3"}, patient, true, down},
		{"a registry that is down, with errors.tolerance=all and a dead letter queue", warned, []string{"offset 0", "cannot be reached for schema id 1"},
			func(t *testing.T) map[string]string { return withDLQ(t, "all") }, false, down},
		{"a registry that fails, with errors.tolerance=all and a dead letter queue", warned, []string{"offset 0", "status 500 (Error in the backend data store"},
			func(t *testing.T) map[string]string { return withDLQ(t, "all") }, false, broken},
		{"a registry that is down, with errors.tolerance=all, a dead letter queue and errors.retry.timeout=-1", warned, []string{"offset 0", "cannot be reached for schema id 1"},
			func(t *testing.T) map[string]string {
				m := withDLQ(t, "all")
				m["errors.retry.timeout"] = "-1"
				return m
			}, false, down},
	}
}

func TestARegistryThatGivesNoSchemaLosesNothing(t *testing.T) {
	t.Parallel()
	for _, b := range badRegistries() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			x, r := newRegistryTrial(t, registry.Options{}, b.settings(t))
			records := []broker.Record{x.good(1), x.good(2), x.good(1)}
			x.doc = "evolved" // a schema that the worker has not asked for yet
			evolved := []broker.Record{x.good(1), x.good(2)}
			x.send(records...)
			if b.later {
				x.create(nil)
				x.awaitStarted(0, 1, 2)
				x.awaitCommitted(3)
			}
			r.SetFault(func(*http.Request) registry.Fault { return b.fault })
			x.send(evolved...)
			if b.later {
				x.send(records...) // with schemas that it has: other keys of them go on
			} else {
				x.create(nil)
			}
			settled, want := int64(0), []int64{0, 1, 2, 3, 4}
			if b.later {
				settled, want = 3, []int64{0, 1, 2, 3, 4, 5, 6, 7}
			}
			x.awaitState(b.state, b.said...)
			if at := x.committed(); at > settled {
				t.Errorf("committed %d, want %d at most", at, settled)
			}
			othersGoOn(t)

			r.SetFault(nil) // nobody restarts anything
			x.awaitStarted(want...)
			x.awaitCommitted(int64(len(want)))
			if dlq := x.config["errors.deadletterqueue.topic.name"]; dlq != "" && len(letters(t, dlq)) > 0 {
				t.Error("records went to the dead letter queue while the registry was down")
			}
		})
	}
}

// TestARegistryThatIsDownFillsTheDeadLetterQueueUnderToleranceAll is Kafka Connect's rule, for who asks for it: errors.retry.timeout=0
// tries a conversion once, whatever the reason.
func TestARegistryThatIsDownFillsTheDeadLetterQueueUnderToleranceAll(t *testing.T) {
	t.Parallel()
	settings := withDLQ(t, "all")
	settings["errors.retry.timeout"] = "0"
	x, r := newRegistryTrial(t, registry.Options{}, settings)
	x.send(x.good(1), x.good(2))
	r.SetFault(func(*http.Request) registry.Fault { return registry.Fault{Down: true} })
	x.create(nil)
	x.awaitCommitted(2)
	x.awaitState(running)
	for _, l := range letters(t, dlqOf(t)) {
		if header(l, "stage") != atKey || header(l, "exception.class.name") != "org.apache.kafka.connect.errors.RetriableException" {
			t.Errorf("stage %s, class %s", header(l, "stage"), header(l, "exception.class.name"))
		}
	}
	r.SetFault(nil)
	x.send(x.good(3))
	x.awaitStarted(2)
	if n := len(letters(t, dlqOf(t))); n != 2 {
		t.Errorf("%d records in the dead letter queue, want the 2 that were not started", n)
	}
}

func TestAWrongRegistryPasswordFailsTheTaskAndIsNotShown(t *testing.T) {
	t.Parallel()
	x, _ := newRegistryTrial(t, registry.Options{User: "ana", Password: "certa"}, nil)
	login := func(password string) map[string]string {
		m := map[string]string{}
		for _, role := range []string{"key", "value"} {
			m[role+".converter.basic.auth.credentials.source"] = "USER_INFO"
			m[role+".converter.basic.auth.user.info"] = "ana:" + password
		}
		return m
	}
	x.send(x.good(1), x.good(2))
	x.create(login("segredo-errado"))
	x.awaitState(failed, "partition 0, offset ", "refused schema id 1 with status 401", "basic.auth.user.info")
	if s := x.status(); strings.Contains(s.Trace+s.Warning, "segredo-errado") {
		t.Errorf("the password is shown: %+v", s)
	}
	if at := x.committed(); at > 0 {
		t.Errorf("committed %d", at)
	}
	x.create(login("certa"))
	x.awaitStarted(0, 1)
	x.awaitCommitted(2)
}

func TestASchemaThatIsRegisteredLateIsFoundAfterARestart(t *testing.T) {
	t.Parallel()
	x, r := newRegistryTrial(t, registry.Options{}, nil)
	late := append(prefix(77), x.value(3, "Caio", nil)[5:]...)
	x.begin(1, x.good(1), broker.Record{Key: x.key(3), Value: late}, x.good(2))
	x.awaitState(failed, "partition 0, offset 1", "does not know schema id 77")
	if at := x.committed(); at != 1 {
		t.Errorf("committed %d, want 1", at)
	}
	if _, err := r.RegisterID("tarde-value", 77, registry.Schema{Text: envelopeSchema(rowOrNull, textType, "late")}); err != nil {
		t.Fatal(err)
	}
	x.restart()
	x.awaitStarted(0, 1, 2)
	x.awaitCommitted(3)
}
