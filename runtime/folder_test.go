package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// folder is a folder of connector files.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder { return folder{t, t.TempDir()} }

func (f folder) write(name, text string) {
	f.t.Helper()
	must(f.t, os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600))
}

func (f folder) remove(name string) {
	f.t.Helper()
	must(f.t, os.Remove(filepath.Join(f.dir, name)))
}

func (f folder) settings(more ...string) map[string]string {
	m := map[string]string{"connector.files.dir": f.dir, "connector.files.interval.ms": "1000"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

// declares is the text of a file that declares a connector.
func declares(name, topic string, kv ...string) string {
	m := map[string]string{"name": name, "connector.class": "ProbeSink", "topics": topic, "key.converter": "StringConverter", "value.converter": "StringConverter"}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// fileState gives the state and the error of a file of the folder.
func fileState(h *Herder, file string) (state, problem string) {
	for _, f := range h.folder.get().Files {
		if f.File == file {
			return f.State, f.Error
		}
	}
	return "", ""
}

func colour(h *Herder, name string) string {
	return textOf(h.view.get().Connectors[name].Config, "colour")
}

func TestConnectorsAreKeptAsTheFilesSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("clientes.json", declares("clientes", "t"))
		f.write("paused.json", `{"name": "idle", "initial_state": "paused", "config": `+declares("idle", "t")+`}`)
		f.write("produtos.properties", "name=produtos\nconnector.class=ProbeSink\ntopics=t\nkey.converter=StringConverter\nvalue.converter=StringConverter\n")
		f.write("README.md", "not a connector")
		w := start(t, f.settings())
		w.broker.create("t", 1)
		w.awaitTasks("clientes", "RUNNING", 1)
		w.awaitTasks("produtos", "RUNNING", 1)
		eventually(t, "the paused one is", func() bool {
			st, err := w.Status(t.Context(), "idle")
			return err == nil && st.Connector.State == "PAUSED"
		})
		for _, file := range []string{"clientes.json", "paused.json", "produtos.properties"} {
			if state, problem := fileState(w.Herder, file); state != FileApplied {
				t.Errorf("%s is %q: %s", file, state, problem)
			}
		}
		f.write("clientes.json", declares("clientes", "t", "colour", "blue"))
		eventually(t, "the change of the file is taken over", func() bool { return colour(w.Herder, "clientes") == "blue" })
	})
}

func TestAConnectorThatAFileOwnsIsNotConfiguredByREST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("c.json", declares("c", "t"))
		w := start(t, f.settings())
		w.broker.create("t", 1)
		w.awaitTasks("c", "RUNNING", 1)

		_, _, err := w.PutConfig(t.Context(), "c", probeConfig("t", "colour", "green"))
		requireError(t, err, 409, "")
		if err == nil || !strings.Contains(err.Error(), "c.json") {
			t.Errorf("the refusal does not name the file: %v", err)
		}
		_, err = w.PatchConfig(t.Context(), "c", cfgOf("colour", "green"))
		requireError(t, err, 409, "")
		requireError(t, w.Delete(t.Context(), "c"), 409, "")
		_, err = w.Create(t.Context(), CreateRequest{Name: "c", Config: probeConfig("t")})
		requireError(t, err, 409, "Connector c already exists")

		must(t, w.Pause(t.Context(), "c"))
		must(t, w.Resume(t.Context(), "c"))
		must(t, w.RestartTask(t.Context(), "c", 0))
		if _, err := w.Restart(t.Context(), "c", true, false); err != nil {
			t.Error(err)
		}
		must(t, w.Stop(t.Context(), "c"))
		if _, err := w.ResetOffsets(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second) // of the bubble: some looks at the folder
		if w.view.get().Target("c").State != "STOPPED" {
			t.Error("the file has started a connector that a person stopped")
		}
		// What no file declares is REST's.
		w.create("other", probeConfig("t"))
		must(t, w.Delete(t.Context(), "other"))
	})
}

func TestABrokenFileIsReportedAndDisturbsNothing(t *testing.T) {
	for name, c := range map[string]struct{ file, text, problem string }{
		"no JSON":              {"b.json", `{"name": "b",`, "b.json:1: "},
		"no name":              {"b.json", `{"connector.class": "ProbeSink"}`, "names no connector"},
		"an invalid value":     {"b.json", declares("b", "t", "tasks.max", "many"), "b.json:1: Invalid value many for configuration tasks.max"},
		"an unknown class":     {"b.json", declares("b", "t", "connector.class", "NoSuchSink"), "NoSuchSink"},
		"another file's":       {"b.json", declares("a", "t"), "is declared in a.json too"},
		"a state there is not": {"b.json", `{"name": "b", "initial_state": "asleep", "config": ` + declares("b", "t") + `}`, "asleep"},
		"too large":            {"b.json", `{"name": "` + strings.Repeat("b", maxConnectorFile) + `"}`, "bytes"},
		"bytes":                {"b.properties", "\x00\xff\\u12", "b.properties:1: invalid unicode literal"},
		"YAML":                 {"b.yaml", "name: b", "YAML is not read"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFolder(t)
				f.write("a.json", declares("a", "t"))
				w := start(t, f.settings("connector.files.prune", "true"))
				w.broker.create("t", 1)
				w.awaitTasks("a", "RUNNING", 1)
				f.write(c.file, c.text)
				eventually(t, "the file is reported", func() bool { state, _ := fileState(w.Herder, c.file); return state == FileBroken })
				if _, problem := fileState(w.Herder, c.file); !strings.Contains(problem, c.problem) {
					t.Errorf("the file is reported as %q, want %q", problem, c.problem)
				}
				f.write("a.json", declares("a", "t", "colour", "blue"))
				eventually(t, "the sound file is still followed", func() bool { return colour(w.Herder, "a") == "blue" })
				if got := sortedKeys(w.view.get().Connectors); len(got) != 1 || got[0] != "a" {
					t.Errorf("connectors are %v", got)
				}
				if n := strings.Count(w.logs.String(), "file is broken"); n != 1 {
					t.Errorf("it was logged %d times", n)
				}
			})
		})
	}
}

func TestAFileThatBreaksKeepsItsConnectorAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("c.json", declares("c", "t", "colour", "blue"))
		w := start(t, f.settings("connector.files.prune", "true"))
		w.broker.create("t", 1)
		w.awaitTasks("c", "RUNNING", 1)
		f.write("c.json", "{")
		eventually(t, "the file is reported", func() bool { state, _ := fileState(w.Herder, "c.json"); return state == FileBroken })
		time.Sleep(10 * time.Second)
		if colour(w.Herder, "c") != "blue" {
			t.Error("the connector has gone or changed")
		}
		requireError(t, w.Delete(t.Context(), "c"), 409, "")
	})
}

func TestARemovedFileDeletesItsConnectorOnlyWithPrune(t *testing.T) {
	for _, prune := range []string{"true", "false"} {
		t.Run("prune="+prune, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFolder(t)
				f.write("a.json", declares("a", "t"))
				f.write("b.json", declares("b", "t"))
				w := start(t, f.settings("connector.files.prune", prune))
				w.broker.create("t", 1)
				w.awaitTasks("a", "RUNNING", 1)
				w.awaitTasks("b", "RUNNING", 1)
				w.create("rest", probeConfig("t"))
				f.remove("a.json")
				if prune == "true" {
					eventually(t, "the connector has gone", func() bool { _, ok := w.view.get().Connectors["a"]; return !ok })
				} else {
					eventually(t, "the connector is REST's", func() bool { _, owned := w.view.get().Files["a"]; return !owned })
					w.awaitTasks("a", "RUNNING", 1)
					must(t, w.Delete(t.Context(), "a"))
				}
				time.Sleep(10 * time.Second)
				if got := strings.Join(sortedKeys(w.view.get().Connectors), " "); got != "b rest" {
					t.Errorf("connectors are %s", got)
				}
			})
		})
	}
}

func TestAConnectorMovesToAnotherFileWithoutInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("a.json", declares("c", "t"))
		w := start(t, f.settings("connector.files.prune", "true"))
		w.broker.create("t", 1)
		w.awaitTasks("c", "RUNNING", 1)
		must(t, os.Rename(filepath.Join(f.dir, "a.json"), filepath.Join(f.dir, "b.json")))
		eventually(t, "the other file owns it", func() bool { return w.view.get().Files["c"] == "b.json" })
		time.Sleep(10 * time.Second)
		if len(w.sink.started()) != 1 {
			t.Error("the task was restarted")
		}
		// Now the file declares another one.
		f.write("b.json", declares("d", "t"))
		w.awaitTasks("d", "RUNNING", 1)
		eventually(t, "what it declared before is gone", func() bool { _, ok := w.view.get().Connectors["c"]; return !ok })
	})
}

// A ConfigMap is a folder of links over a link that is replaced at once, as kubelet's AtomicWriter does it.
func TestAMountedConfigMapIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		mount := func(version string, files map[string]string) {
			must(t, os.Mkdir(filepath.Join(f.dir, ".."+version), 0o700))
			for name, text := range files {
				f.write(filepath.Join(".."+version, name), text)
				if link := filepath.Join(f.dir, name); os.Symlink(filepath.Join("..data", name), link) == nil {
					continue
				}
			}
			must(t, os.Symlink(".."+version, filepath.Join(f.dir, "..data_tmp")))
			must(t, os.Rename(filepath.Join(f.dir, "..data_tmp"), filepath.Join(f.dir, "..data")))
		}
		mount("v1", map[string]string{"a.json": declares("a", "t"), "b.json": declares("b", "t")})
		w := start(t, f.settings("connector.files.prune", "true"))
		w.broker.create("t", 1)
		w.awaitTasks("a", "RUNNING", 1)
		w.awaitTasks("b", "RUNNING", 1)
		mount("v2", map[string]string{"a.json": declares("a", "t", "colour", "blue")})
		eventually(t, "the new version is taken over", func() bool { return colour(w.Herder, "a") == "blue" })
		// Kubelet removes the link of the key that is gone only afterwards: until then it points to nothing.
		if state, _ := fileState(w.Herder, "b.json"); state != FileBroken {
			t.Errorf("the dangling link is %q", state)
		}
		f.remove("b.json")
		eventually(t, "the key that is gone takes its connector along", func() bool { _, ok := w.view.get().Connectors["b"]; return !ok })
	})
}

func TestAFolderThatIsGoneRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("c.json", declares("c", "t"))
		w := start(t, f.settings("connector.files.prune", "true"))
		w.broker.create("t", 1)
		w.awaitTasks("c", "RUNNING", 1)
		must(t, os.Rename(f.dir, f.dir+"-away"))
		eventually(t, "the folder is reported", func() bool { return w.folder.get().Error != "" })
		time.Sleep(10 * time.Second)
		w.awaitTasks("c", "RUNNING", 1)
		must(t, os.Rename(f.dir+"-away", f.dir))
		eventually(t, "it is well again", func() bool { return w.folder.get().Error == "" })
	})
}

func TestTheLeaderAlonePrunesWhatAnEarlierLeaderOwned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.write("a.json", declares("a", "t"))
		f.write("b.json", declares("b", "t"))
		c := newCouncil(t)
		c.broker.create("t", 1)
		files := []string{"connector.files.dir", f.dir, "connector.files.interval.ms", "1000", "connector.files.prune", "true"}
		one := c.join("one", files...).ready(t)
		two := c.join("two", files...).ready(t)
		eventually(t, "both are there", func() bool { return len(two.places("a")) == 1 && len(two.places("b")) == 1 })
		if _, err := two.ConnectorFiles(t.Context()); !isElsewhere(err) {
			t.Errorf("a follower answers for the folder: %v", err)
		}
		must(t, one.end())
		f.remove("a.json")
		eventually(t, "the new leader deletes what the old one had made", func() bool {
			_, a := two.view.get().Connectors["a"]
			_, b := two.view.get().Connectors["b"]
			return !a && b
		})
		requireError(t, two.Delete(t.Context(), "b"), 409, "")
	})
}
