package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestTheTopicsOfAJVMConnectClusterAreTakenOverAndGivenBack lets Apache Kafka Connect make connectors and read, stops it, and
// starts a worker of ours with the same group and topics, stops that, and starts Kafka Connect again: connectors, what they
// should do, and offsets are the same each time.
func TestTheTopicsOfAJVMConnectClusterAreTakenOverAndGivenBack(t *testing.T) {
	t.Parallel()
	bootstrap, group := stack.Kafka(t), stack.Name(t)
	c := &cluster{t: t, bootstrap: bootstrap, group: group}
	c.connect()
	const text = "org.apache.kafka.connect.storage.StringConverter"
	jvm := stack.PrivateConnect(t, bootstrap, stack.WithPlugins(stack.ConnectFile),
		stack.WithConnectProperty("group.id", group), stack.WithConnectProperty("key.converter", text), stack.WithConnectProperty("value.converter", text),
		stack.WithConnectProperty("config.storage.topic", group+"-configs"), stack.WithConnectProperty("offset.storage.topic", group+"-offsets"),
		stack.WithConnectProperty("status.storage.topic", group+"-status"))
	topic := c.topic("in", 2)
	c.produce(topic, 2, 0, 100)
	file := map[string]string{}
	for _, name := range []string{"runs", "paused", "stopped", "deleted"} {
		file[name] = filepath.Join(t.TempDir(), "out.txt")
		ask(t, 201, "POST", jvm.Addr()+"/connectors", fmt.Sprintf(`{"name":"%s-%s","config":{"connector.class":"FileStreamSink","tasks.max":"2","topics":%q,"file":%q}}`, group, name, topic, file[name]))
	}
	for name := range file {
		c.delivered(file[name], 100, time.Minute)
	}
	path := func(name string) string { return "/connectors/" + group + "-" + name }
	state := func(url, name string) string {
		var s status
		if err := json.Unmarshal(ask(t, 200, "GET", url+path(name)+"/status", ""), &s); err != nil {
			t.Fatal(err)
		}
		return s.Connector.State
	}
	ask(t, 202, "PUT", jvm.Addr()+path("paused")+"/pause", "")
	ask(t, 204, "PUT", jvm.Addr()+path("stopped")+"/stop", "")
	ask(t, 204, "DELETE", jvm.Addr()+path("deleted"), "")
	worker.Eventually(t, 30*time.Second, "Kafka Connect has done so, and committed", func() bool {
		return state(jvm.Addr(), "paused") == "PAUSED" && state(jvm.Addr(), "stopped") == "STOPPED" && committed(t, jvm.Addr()+path("runs")) == 100 &&
			committed(t, jvm.Addr()+path("paused")) == 100 && committed(t, jvm.Addr()+path("stopped")) == 100
	})
	config := ask(t, 200, "GET", jvm.Addr()+path("runs")+"/config", "")
	jvm.Stop(30 * time.Second)
	c.produce(topic, 2, 100, 100)

	w := worker.Start(t, worker.Distributed(t, bootstrap, group))
	var names []string
	if err := json.Unmarshal(c.do(w, "GET", "/connectors", "", 200), &names); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{group + "-paused", group + "-runs", group + "-stopped"}; !slices.Equal(names, want) {
		t.Errorf("connectors %v, want %v", names, want)
	}
	if got := c.do(w, "GET", path("runs")+"/config", "", 200); !sameJSON(t, got, config) {
		t.Errorf("configuration %s, was %s", got, config)
	}
	once := func(name string, n int) {
		t.Helper()
		for line, count := range c.delivered(file[name], n, 30*time.Second) {
			if count != 1 {
				t.Errorf("%s: line %s was delivered %d times", name, line, count)
			}
		}
	}
	once("runs", 200)
	worker.Eventually(t, 20*time.Second, "the states are as they were", func() bool {
		return state(w.URL, "runs") == "RUNNING" && state(w.URL, "paused") == "PAUSED" && state(w.URL, "stopped") == "STOPPED"
	})
	if n := committed(t, w.URL+path("stopped")); n != 100 {
		t.Errorf("the stopped connector's offsets add up to %d, want 100", n)
	}
	if got := len(lines(file["paused"])); got != 100 {
		t.Errorf("the paused connector has delivered %d lines, want 100", got)
	}
	c.do(w, "PUT", path("paused")+"/resume", "", 202)
	c.do(w, "PUT", path("stopped")+"/resume", "", 202)
	once("paused", 200)
	once("stopped", 200)
	if got := len(lines(file["deleted"])); got != 100 {
		t.Errorf("the deleted connector has delivered %d lines, want 100", got)
	}

	file["ours"] = filepath.Join(t.TempDir(), "out.txt")
	c.do(w, "PUT", path("ours")+"/config", fmt.Sprintf(`{"connector.class":"FileStreamSink","tasks.max":"2","topics":%q,"file":%q}`, topic, file["ours"]), 201)
	once("ours", 200)
	c.do(w, "PUT", path("paused")+"/pause", "", 202)
	c.do(w, "DELETE", path("stopped"), "", 204)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := w.Ended(t, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	c.produce(topic, 2, 200, 100)

	if err := jvm.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	once("runs", 300)
	once("ours", 300)
	worker.Eventually(t, 30*time.Second, "Kafka Connect does what ours was told", func() bool {
		return state(jvm.Addr(), "runs") == "RUNNING" && state(jvm.Addr(), "ours") == "RUNNING" && state(jvm.Addr(), "paused") == "PAUSED"
	})
	ask(t, 404, "GET", jvm.Addr()+path("stopped"), "")
	if got := len(lines(file["paused"])); got != 200 {
		t.Errorf("the paused connector has delivered %d lines, want 200", got)
	}
	ask(t, 202, "PUT", jvm.Addr()+path("paused")+"/resume", "")
	once("paused", 300)
}

// ask calls a REST API and demands a status.
func ask(t *testing.T, want int, method, url, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		t.Fatalf("%s %s: %d %s %v", method, url, res.StatusCode, answer, err)
	}
	return answer
}

// committed adds up the offsets of a connector.
func committed(t *testing.T, connector string) (sum int) {
	t.Helper()
	var body struct {
		Offsets []struct {
			Offset struct {
				At int `json:"kafka_offset"`
			}
		}
	}
	if err := json.Unmarshal(ask(t, 200, "GET", connector+"/offsets", ""), &body); err != nil {
		t.Fatal(err)
	}
	for _, o := range body.Offsets {
		sum += o.Offset.At
	}
	return sum
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y map[string]string
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}
