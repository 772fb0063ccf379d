package kafka

import (
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestTheEndOfALogIsFoundAgainAfterARestartOfTheBroker(t *testing.T) {
	broker := stack.PrivateKafka(t, 1)
	a := admin(t, map[string]string{"bootstrap.servers": broker.Bootstrap()})
	ensure(t, a, "configs", 1)
	p, err := OpenProducer(t.Context(), ProducerConfig{Properties: map[string]string{"bootstrap.servers": broker.Bootstrap()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(t.Context()) })
	l, err := OpenTopicLog(t.Context(), TopicLogConfig{Properties: map[string]string{"bootstrap.servers": broker.Bootstrap()}, Topic: "configs", Partitions: 1, Admin: a, Producer: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(t.Context()) })
	for range 3 {
		if _, err := l.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		broker.Nodes[0].Stop(10 * time.Second)
		if err := broker.Nodes[0].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := l.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}
