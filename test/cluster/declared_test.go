package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// mounted is a folder of files as Kubernetes mounts a ConfigMap: links to a folder that is replaced as a whole.
type mounted struct {
	t        *testing.T
	dir      string
	versions int
}

func (m *mounted) replace(files map[string]string) {
	m.t.Helper()
	must := func(err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.versions++
	version := fmt.Sprintf("..%d", m.versions)
	must(os.Mkdir(filepath.Join(m.dir, version), 0o700))
	for name, text := range files {
		must(os.WriteFile(filepath.Join(m.dir, version, name), []byte(text), 0o600))
		if _, err := os.Lstat(filepath.Join(m.dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(m.dir, name)))
		}
	}
	must(os.Symlink(version, filepath.Join(m.dir, "..next")))
	must(os.Rename(filepath.Join(m.dir, "..next"), filepath.Join(m.dir, "..data")))
}

// TestOneBrokenOfTenDeclaredConnectorsStopsNeitherTheOthersNorARollOut declares ten connectors in files, one of them with a
// class that there is not, replaces two workers one after the other while records come, and then mends the broken one.
func TestOneBrokenOfTenDeclaredConnectorsStopsNeitherTheOthersNorARollOut(t *testing.T) {
	t.Parallel()
	const connectors, broken = 10, 7
	folder := &mounted{t: t, dir: t.TempDir()}
	c := startWith(t, stack.Kafka(t), 2, map[string]string{"connector.files.dir": folder.dir, "connector.files.interval.ms": "200"})
	files, sinks := map[string]string{}, make([]string, connectors)
	declare := func(i int, class string) {
		sinks[i] = filepath.Join(t.TempDir(), "out.txt")
		text, err := json.Marshal(map[string]any{"name": fmt.Sprintf("%s-%d", c.group, i), "config": map[string]string{"connector.class": class, "topics": c.group + "-in", "tasks.max": "1", "file": sinks[i]}})
		if err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("c%d.json", i)] = string(text)
	}
	topic := c.topic("in", 1)
	for i := range connectors {
		declare(i, "FileStreamSink")
	}
	declare(broken, "SinkQueNaoExiste")
	folder.replace(files)

	allBut := func(w *worker.Process, without int) func() bool {
		return func() bool {
			for i := range connectors {
				if i != without && !c.status(w, fmt.Sprintf("%s-%d", c.group, i)).running(1, anywhere) {
					return false
				}
			}
			return true
		}
	}
	type report struct {
		Files []struct{ File, State, Error string }
	}
	told := func(w *worker.Process) (state, why string) {
		var r report
		res, err := w.Get(t.Context(), "/connector-files")
		if err != nil || json.Unmarshal(res.Body, &r) != nil {
			return "", ""
		}
		for _, f := range r.Files {
			if f.File == fmt.Sprintf("c%d.json", broken) {
				return f.State, f.Error
			}
		}
		return "", ""
	}
	worker.Eventually(t, 30*time.Second, "the nine others run", allBut(c.workers[0], broken))
	for _, w := range c.workers {
		worker.Eventually(t, 10*time.Second, "the broken file is told by name", func() bool {
			state, why := told(w)
			return state == "BROKEN" && strings.Contains(why, "SinkQueNaoExiste")
		})
		refusal := string(c.do(w, "PUT", "/connectors/"+c.group+"-0/config", `{"connector.class":"FileStreamSink","topics":"x","file":"/dev/null"}`, 409))
		if !strings.Contains(refusal, "c0.json") {
			t.Errorf("a write to a connector of a file is refused without the file's name: %s", refusal)
		}
	}
	leader := c.workers[c.leader()]
	if !strings.Contains(leader.Log(), "SinkQueNaoExiste") {
		t.Error("the leader's log does not name the broken connector's class")
	}
	if res, err := leader.Get(t.Context(), "/metrics"); err != nil || !strings.Contains(string(res.Body), `stepconnect_connector_files{state="broken"} 1`) {
		t.Errorf("no metric tells of the broken file (%v)", err)
	}

	sent := 0
	send := func() {
		t.Helper()
		c.produce(topic, 1, sent, 50)
		sent += 50
	}
	send()
	for i := range c.workers {
		if err := c.workers[i].Stop(); err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
		send() // the other one has all tasks
		c.workers[i] = worker.Launch(t, c.props[i])
		c.workers[i].Await(t)
		worker.Eventually(t, 30*time.Second, "the nine others run", allBut(c.workers[i], broken))
		send()
	}
	for i := range connectors {
		if i == broken {
			continue
		}
		for line, n := range c.delivered(sinks[i], sent, 30*time.Second) {
			if n != 1 {
				t.Errorf("connector c%d: line %s was written %d times", i, line, n)
			}
		}
	}

	declare(broken, "FileStreamSink")
	folder.replace(files)
	worker.Eventually(t, 30*time.Second, "all ten run", allBut(c.workers[0], -1))
	c.delivered(sinks[broken], sent, 30*time.Second)
	worker.Eventually(t, 10*time.Second, "the mended file is told", func() bool { state, _ := told(c.workers[1]); return state == "APPLIED" })
}
