package stack_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/stepconnect/stepconnect/test/stack"
)

func TestAClusterOfThreeGoesOnWithoutOneNode(t *testing.T) {
	cluster := stack.PrivateKafka(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client := newClient(t, kgo.SeedBrokers(strings.Split(cluster.Bootstrap(), ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	topic := stack.Name(t)
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 3, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	produce := func(after string) {
		t.Helper()
		for p := range int32(3) {
			err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte(after)}).FirstErr()
			if err != nil {
				t.Fatalf("produce to partition %d after %s: %v", p, after, err)
			}
		}
	}
	produce("the start")
	cluster.Nodes[2].Kill()
	produce("kill of node 3")
	if err := cluster.Nodes[2].Start(ctx); err != nil {
		t.Fatal(err)
	}
	produce("start of node 3")
	cluster.Nodes[0].Stop(30 * time.Second)
	produce("stop of node 1")
}

func TestAPausedNodeAnswersNothingUntilItIsResumed(t *testing.T) {
	node := stack.PrivateKafka(t, 1).Nodes[0]
	if err := node.Pause(); err != nil {
		t.Fatal(err)
	}
	impatient := newClient(t, kgo.SeedBrokers(node.Addr()), kgo.RequestTimeoutOverhead(500*time.Millisecond), kgo.RequestRetries(0))
	if err := impatient.Ping(t.Context()); err == nil {
		t.Error("a paused broker answered")
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := newClient(t, kgo.SeedBrokers(node.Addr())).Ping(t.Context()); err != nil {
		t.Errorf("a resumed broker does not answer: %v", err)
	}
	node.Kill()
	if err := node.Pause(); err == nil {
		t.Error("pausing a killed broker gives no error")
	}
}

func TestABrokerWithSCRAMOverTLSTakesTheRightPasswordOnly(t *testing.T) {
	cluster := stack.PrivateKafka(t, 1, stack.WithTLS(), stack.WithSCRAM("consorcio", "s3nha"))
	ca, err := os.ReadFile(cluster.Authority.File)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("the authority's file holds no certificate")
	}
	client := func(password string) []kgo.Opt {
		return []kgo.Opt{
			kgo.SeedBrokers(strings.Split(cluster.Bootstrap(), ",")...),
			kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
			kgo.SASL(scram.Auth{User: "consorcio", Pass: password}.AsSha512Mechanism()),
			kgo.RequestRetries(1),
		}
	}
	roundTrip(t, client("s3nha")...)
	err = newClient(t, client("errada")...).Ping(t.Context())
	if !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("ping with a wrong password gives %v, want %v", err, kerr.SaslAuthenticationFailed)
	}
}
