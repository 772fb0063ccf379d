package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestATaskIsRestartedWhenASecretThatItRunsOnChanges(t *testing.T) {
	for _, reload := range []string{"restart", "none"} {
		t.Run(reload, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				rotate := func(secret string) { // in one step, as Kubernetes does: the worker may read at any moment
					next := filepath.Join(t.TempDir(), "next")
					must(t, os.WriteFile(next, []byte(secret), 0o600))
					must(t, os.Rename(next, filepath.Join(dir, "password")))
				}
				rotate("first secret")
				w := start(t, map[string]string{
					"config.providers": "dir", "config.providers.dir.class": "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
					"config.providers.dir.param.ttl.ms": "20000",
				})
				w.broker.create("t", 1)
				w.create("c", probeConfig("t", "endpoint.password", "${dir:"+dir+":password}", "config.action.reload", reload))
				w.create("plain", probeConfig("t", "endpoint.password", "constant"))
				w.awaitTasks("c", "RUNNING", 1)
				w.awaitTasks("plain", "RUNNING", 1)
				time.Sleep(5 * time.Minute) // of the bubble
				if n := len(w.sink.started()); n != 2 {
					t.Fatalf("%d starts of two tasks although nothing changed", n)
				}
				rotate("second secret")
				want := 2
				if reload == "restart" {
					want = 3
					eventually(t, "the task runs on the new value", func() bool { return len(w.sink.given()) == 3 })
					if last(w.sink.given()) != "second secret" {
						t.Errorf("the task was given %q", last(w.sink.given()))
					}
				}
				time.Sleep(5 * time.Minute)
				if n := len(w.sink.started()); n != want {
					t.Errorf("%d starts, want %d", n, want)
				}
				must(t, os.Remove(filepath.Join(dir, "password")))
				time.Sleep(2 * time.Minute)
				if n := len(w.sink.started()); n != want || !strings.Contains(w.logs.String(), "has no value any more") {
					t.Errorf("%d starts after the value has gone, want %d", n, want)
				}
				must(t, os.Mkdir(filepath.Join(dir, "password"), 0o700)) // cannot be read
				time.Sleep(2 * time.Minute)
				w.awaitTasks("c", "RUNNING", 1)
				if !strings.Contains(w.logs.String(), "cannot be read anew") {
					t.Error("nothing tells that the value cannot be read")
				}
				if strings.Contains(w.logs.String(), " secret\"") || strings.Contains(w.logs.String(), "first secret") {
					t.Error("a secret is in the log")
				}
			})
		})
	}
}

func TestATimeToLiveThatIsNoNumberIsRefused(t *testing.T) {
	_, err := NewProviders(map[string]string{
		"config.providers": "a,b", "config.providers.a.class": "org.apache.kafka.common.config.provider.FileConfigProvider", "config.providers.a.param.ttl.ms": "soon",
		"config.providers.b.class": "org.apache.kafka.common.config.provider.DirectoryConfigProvider", "config.providers.b.param.ttl.ms": "-1",
	}, nil)
	if err == nil || !strings.Contains(err.Error(), `config provider a: ttl.ms: "soon"`) || !strings.Contains(err.Error(), `config provider b: ttl.ms: "-1"`) {
		t.Errorf("got %v", err)
	}
}
