// Package stack gives tests real servers: Apache Kafka, Kafka Connect on the JVM, a schema registry,
// PostgreSQL and Step Functions emulators.
//
// A test asks and gets an address:
//
//	bootstrap := stack.Kafka(t)
//
// The first call fetches what is missing into .cache of the repository, starts the server on a free
// port of 127.0.0.1 and waits until it answers. The server is shared by all tests of the
// process and ends with it, however it ends. When the environment names an address
// (KAFKA_BOOTSTRAP, SCHEMA_REGISTRY_URL, STEPFUNCTIONS_ENDPOINT, POSTGRES_DSN), that one is
// used: so `make test` starts everything once for all packages, and a person can point the
// tests at servers of their own. With -short these calls skip the test.
//
// Shared servers are shared: tests take topics, subjects and state machines of their own
// names (see [Name]) and never stop them. A test that kills brokers starts its own with
// [PrivateKafka], one that stops a registry with [PrivateRegistry]. A worker of Kafka Connect is
// always the test's own, see [PrivateConnect].
//
// The files, in the order of a server's life: find.go and prerequisite.go look for what the
// machine has, install.go fetches what it lacks, kafka.go, connect.go, registry.go,
// postgres.go and emulators.go say how each server is started, process.go and guard.go run it, server.go is
// the handle, tests.go what tests call, up.go what the command calls.
package stack
