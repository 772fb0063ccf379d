// Command worker is stepconnect with a resolver of its own: names are asked of the DNS server at CHAOS_DNS, which a
// test lets fail.
package main

import (
	"context"
	"net"
	"os"

	"github.com/stepconnect/stepconnect/cmd/host"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
)

func main() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", os.Getenv("CHAOS_DNS"))
	}}
	host.Main(connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}},
		Converters: []connector.ConverterPlugin{avro.Plugin()},
	}, host.Build{Version: "chaos"})
}
