package embedded_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded"
	"github.com/stepconnect/stepconnect/internal/embedded/broker"
	"github.com/stepconnect/stepconnect/internal/embedded/registry"
	"github.com/stepconnect/stepconnect/internal/embedded/states"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheStackRunsAndCloses(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{
		Kafka:  broker.Options{Topics: []broker.Topic{{Name: "clientes-alteracoes", Partitions: 3}}},
		States: states.Options{Machines: []states.Machine{{Name: "Clientes"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	p, err := broker.NewProducer(s.Kafka.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(t.Context(), broker.Record{Topic: "clientes-alteracoes", Key: []byte("k")}); err != nil {
		t.Error(err)
	}
	p.Close()
	if _, err := s.Registry.Register("clientes-alteracoes-value", registry.Schema{Text: `"string"`}); err != nil {
		t.Error(err)
	}
	for _, url := range []string{s.Registry.URL() + "/subjects", s.States.URL() + "/_stats"} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsLeftRunningWhenOnePartDoesNotStart(t *testing.T) {
	_, err := embedded.Start(t.Context(), embedded.Options{States: states.Options{Machines: []states.Machine{{Name: "Clientes", Type: "FAST"}}}})
	if err == nil || !strings.Contains(err.Error(), "FAST") {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := embedded.Start(ctx, embedded.Options{}); err == nil {
		t.Fatal("started in spite of a context that is done")
	}
} // goleak looks for what is left
