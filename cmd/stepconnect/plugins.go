package main

import (
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
)

// plugins is everything that this binary offers. A host with sinks of your own has its own list;
// see docs/DESIGN.md.
func plugins() connector.Plugins {
	return connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}},
		Converters: []connector.ConverterPlugin{avro.Plugin()},
	}
}
