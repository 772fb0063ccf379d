package host_test

import (
	"context"
	"fmt"

	"github.com/stepconnect/stepconnect/cmd/host"
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/config"
)

// printer is a whole sink: the host does the rest.
type printer struct{}

func (printer) Info() connector.Info { return connector.Info{Class: "PrintSink", Version: "1.0.0"} }

func (printer) Config() *config.Def { return config.New() }

func (printer) NewSink(context.Context, config.Values, connector.TaskContext) (connector.Sink, error) {
	return printer{}, nil
}

func (printer) Deliver(_ context.Context, batch []*connector.Record) error {
	for _, r := range batch {
		value, err := r.Value.AppendJSON(nil, nil)
		if err != nil {
			return connector.Rejected(err)
		}
		fmt.Printf("%s-%d@%d %s\n", r.Origin.Topic, r.Origin.Partition, r.Origin.Offset, value)
	}
	return nil
}

func (printer) Close(context.Context) error { return nil }

// A worker with sinks of your own is a list of plugins and host.Main.
func ExampleMain() {
	host.Main(connector.Plugins{
		Sinks:      []connector.Connector{printer{}},
		Converters: []connector.ConverterPlugin{avro.Plugin()},
	}, host.Build{Version: "1.0.0"})
}
