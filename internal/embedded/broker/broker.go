// Package broker is an in-process Kafka cluster for the demo and the tests: franz-go's kfake, which
// speaks Kafka's protocol on loopback, and a producer to fill it.
package broker

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Options declare a cluster. The zero value is one broker without topics, in memory.
type Options struct {
	// Topics exist from the start. With DataDir those that are on disk already stay as they are.
	Topics []Topic
	// Brokers is their number when Ports is empty; 0 is 1.
	Brokers int
	// Ports are the ports of 127.0.0.1 to listen on, one broker each; empty takes free ones.
	Ports []int
	// DataDir keeps topics, records and groups over a restart; "" keeps them in memory.
	DataDir string
	// Kfake are further options of kfake: SASL, TLS, broker configuration, session timeouts, log.
	Kfake []kfake.Opt
}

// Topic declares a topic.
type Topic struct {
	Name string
	// Partitions is their number; 0 is kfake's default of 10.
	Partitions int32
	// Configs are topic configurations, as "cleanup.policy"; nil is the defaults.
	Configs map[string]string
}

// Broker is a running cluster.
type Broker struct {
	// Cluster is for looking inside and for injecting faults; do not close it.
	Cluster *kfake.Cluster
}

// Start runs a cluster until Close.
func Start(o Options) (*Broker, error) {
	opts := []kfake.Opt{kfake.NumBrokers(max(o.Brokers, 1))}
	if len(o.Ports) > 0 {
		opts = append(opts, kfake.Ports(o.Ports...))
	}
	if o.DataDir != "" {
		opts = append(opts, kfake.DataDir(o.DataDir))
	}
	cluster, err := kfake.NewCluster(append(opts, o.Kfake...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	b := &Broker{Cluster: cluster}
	for _, t := range o.Topics {
		if cluster.TopicInfo(t.Name) != nil {
			continue
		}
		if err := cluster.CreateTopic(t.Name, t.Partitions, t.Configs); err != nil {
			b.Close()
			return nil, fmt.Errorf("kafka: create topic %s: %w", t.Name, err)
		}
	}
	return b, nil
}

// Addrs are the brokers' host:port.
func (b *Broker) Addrs() []string { return b.Cluster.ListenAddrs() }

// Bootstrap is Addrs in the form of bootstrap.servers.
func (b *Broker) Bootstrap() string { return strings.Join(b.Addrs(), ",") }

// Close ends the cluster; clients see their connections go. With DataDir everything is on disk when it
// returns. Calling it again does nothing.
func (b *Broker) Close() { b.Cluster.Close() }
