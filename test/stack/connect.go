package stack

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const connectName = "connect 4.3.1"

// ConnectPlugin is a plugin of Kafka Connect that PrivateConnect can install; its text is the file of packages
// that fetches it.
type ConnectPlugin string

// The plugins, with their versions.
const (
	DebeziumPostgres  ConnectPlugin = "debezium-postgres.xml"  // io.debezium.connector.postgresql.PostgresConnector 3.6.3.Final
	DebeziumSQLServer ConnectPlugin = "debezium-sqlserver.xml" // io.debezium.connector.sqlserver.SqlServerConnector 3.6.1.Final
	AvroConverter     ConnectPlugin = "avro-converter.xml"     // io.apicurio.registry.utils.converter.AvroConverter 2.6.13.Final
	ConnectFile       ConnectPlugin = "connect-file.xml"       // FileStreamSource and FileStreamSink 4.3.1
)

// ConnectOption changes how PrivateConnect sets up its worker.
type ConnectOption func(*connectOptions)

type connectOptions struct {
	plugins    []ConnectPlugin
	properties map[string]string
}

// WithPlugins installs plugins; without, the worker has Kafka's own converters, transforms and MirrorMaker's classes alone.
func WithPlugins(plugins ...ConnectPlugin) ConnectOption {
	return func(o *connectOptions) { o.plugins = append(o.plugins, plugins...) }
}

// WithConnectProperty sets a line of the worker's properties; group.id and the internal topics are the worker's alone unless they
// are set here.
func WithConnectProperty(key, value string) ConnectOption {
	return func(o *connectOptions) { o.properties[key] = value }
}

// connect sets up and starts a distributed worker of Apache Kafka Connect. Its Addr is the URL of its REST API. All that
// it knows is in Kafka's topics, so a restarted one runs the same connectors.
func (s *setup) connect(ctx context.Context, bootstrap, group string, opts ...ConnectOption) (*Server, error) {
	o := &connectOptions{properties: connectProperties(bootstrap, group)}
	for _, opt := range opts {
		opt(o)
	}
	jars, err := s.install(ctx, "connect.xml", s.jars)
	if err != nil {
		return nil, err
	}
	plugins := map[string]string{}
	for _, p := range o.plugins {
		fetch := s.jars
		if p == DebeziumPostgres || p == DebeziumSQLServer {
			fetch = s.archive
		}
		if plugins[string(p)], err = s.install(ctx, string(p), fetch); err != nil {
			return nil, err
		}
	}
	java, err := s.java(ctx)
	if err != nil {
		return nil, err
	}
	return openServer(ctx, connectName, 1, func(dir string, ports []*port) (*Server, error) {
		path, err := linkPlugins(dir, plugins)
		if err != nil {
			return nil, err
		}
		url := "http://" + ports[0].addr()
		o.properties["listeners"] = url
		o.properties["rest.advertised.host.name"] = "127.0.0.1"
		o.properties["plugin.path"] = path
		properties, logging := filepath.Join(dir, "worker.properties"), filepath.Join(dir, "log4j2.xml")
		var lines strings.Builder
		for _, key := range slices.Sorted(maps.Keys(o.properties)) {
			fmt.Fprintf(&lines, "%s=%s\n", key, strings.ReplaceAll(o.properties[key], `\`, `\\`))
		}
		if err := os.WriteFile(properties, []byte(lines.String()), 0o600); err != nil {
			return nil, fmt.Errorf("set up connect: %w", err)
		}
		if err := os.WriteFile(logging, []byte(log4j), 0o644); err != nil {
			return nil, fmt.Errorf("set up connect: %w", err)
		}
		argv := slices.Concat([]string{java}, jvmFlags, []string{
			// Debezium moves local times that fall into a gap of the JVM's own zone.
			"-Duser.timezone=UTC", "-Dlog4j2.configurationFile=" + logging,
			"-cp", filepath.Join(jars, "*"), "org.apache.kafka.connect.cli.ConnectDistributed", properties,
		})
		return &Server{addr: url, spec: spec{
			argv:  argv,
			ready: func(ctx context.Context) error { return answers(ctx, url+"/connectors") },
			stop:  syscall.SIGTERM,
		}}, nil
	})
}

// connectProperties are small, and quick where Connect's defaults wait.
func connectProperties(bootstrap, group string) map[string]string {
	return map[string]string{
		"bootstrap.servers": bootstrap,
		"group.id":          group,

		"config.storage.topic": group + "-configs", "config.storage.replication.factor": "1",
		"offset.storage.topic": group + "-offsets", "offset.storage.replication.factor": "1", "offset.storage.partitions": "1",
		"status.storage.topic": group + "-status", "status.storage.replication.factor": "1", "status.storage.partitions": "1",

		"key.converter":                    "org.apache.kafka.connect.json.JsonConverter",
		"value.converter":                  "org.apache.kafka.connect.json.JsonConverter",
		"offset.flush.interval.ms":         "1000",
		"session.timeout.ms":               "6000",
		"heartbeat.interval.ms":            "1000",
		"rebalance.timeout.ms":             "6000",
		"scheduled.rebalance.max.delay.ms": "0",
	}
}

// linkPlugins makes the folder that is plugin.path: a folder each, as Connect isolates them.
func linkPlugins(dir string, plugins map[string]string) (string, error) {
	path := filepath.Join(dir, "plugins")
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", fmt.Errorf("plugins of connect: %w", err)
	}
	for file, installed := range plugins {
		if err := os.Symlink(installed, filepath.Join(path, strings.TrimSuffix(file, ".xml"))); err != nil {
			return "", fmt.Errorf("plugins of connect: %w", err)
		}
	}
	return path, nil
}
