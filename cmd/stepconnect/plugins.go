package main

import (
	"os"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/file"
	"github.com/stepconnect/stepconnect/connector/json"
	"github.com/stepconnect/stepconnect/connector/primitive"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
)

// plugins is everything that this binary offers. A host with sinks of your own has its own list; see
// docs/DESIGN.md §6.
func plugins() connector.Plugins {
	p := connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}, file.New(version, os.Stdout)},
		Converters: append([]connector.ConverterPlugin{avro.Plugin(), json.Plugin()}, primitive.Plugins()...),
	}
	for i := range p.Converters {
		p.Converters[i].Version = version
	}
	return p
}
