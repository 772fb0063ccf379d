// Command stepconnect hosts sink connectors the way Kafka Connect does, and starts AWS Step Functions
// from Debezium's change events.
package main

import "github.com/stepconnect/stepconnect/cmd/host"

// version and commit are set by the linker (make build).
var (
	version = "0.1.0"
	commit  = ""
)

func main() { host.Main(plugins(), build(), demoCommand(), docsCommand()) }

func build() host.Build { return host.Build{Version: version, Commit: commit} }
