package host

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/runtime"
)

func TestAWorkerThatWaitsForItsBrokersSaysWhichAndSinceWhen(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := l.Addr().String()
	l.Close() // nobody listens there
	avro := "io.confluent.connect.avro.AvroConverter"
	cfg, providers, err := runtime.ParseWorkerConfig(t.Context(), map[string]string{
		"bootstrap.servers": broker, "listeners": "http://127.0.0.1:0", "group.id": "g",
		"key.converter": avro, "key.converter.schema.registry.url": "http://127.0.0.1:1",
		"value.converter": avro, "value.converter.schema.registry.url": "http://127.0.0.1:1",
		"config.storage.topic": "c", "offset.storage.topic": "o", "status.storage.topic": "s",
	}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w, err := NewDistributed(t.Context(), list(), Build{Version: "1.0.0"}, cfg, providers, slog.DiscardHandler)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()

	var health runtime.Health
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || json.Unmarshal(body, &health) != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the first answer took %v", took)
	}
	if res.StatusCode != http.StatusServiceUnavailable || health.Status != "starting" ||
		!strings.HasPrefix(health.Message, "Worker is still starting up. The worker is currently reaching the Kafka brokers at "+broker+", which began at 2") {
		t.Errorf("%d %+v", res.StatusCode, health)
	}
	stop()
	select {
	case err := <-ended:
		if err := IgnoreStop(ctx, err); err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the worker does not stop while it waits for its brokers")
	}
}
