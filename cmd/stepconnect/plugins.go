package main

import (
	"os"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/avro"
	"github.com/stepconnect/stepconnect/connector/file"
	"github.com/stepconnect/stepconnect/connector/glue"
	"github.com/stepconnect/stepconnect/connector/json"
	"github.com/stepconnect/stepconnect/connector/primitive"
	"github.com/stepconnect/stepconnect/connector/stepfunctions"
	"github.com/stepconnect/stepconnect/connector/transform"
)

// plugins is everything that this binary offers. A host with sinks of your own has its own list; see
// docs/DESIGN.md §6.
func plugins() connector.Plugins {
	p := connector.Plugins{
		Sinks:      []connector.Connector{stepfunctions.Connector{}, file.New(version, os.Stdout)},
		Converters: append([]connector.ConverterPlugin{avro.Plugin(), glue.Plugin(), json.Plugin()}, primitive.Plugins()...),
		Transforms: transform.Transforms(),
		Predicates: transform.Predicates(),
	}
	for i := range p.Converters {
		p.Converters[i].Version = version
	}
	for i := range p.Transforms {
		p.Transforms[i].Version = version
	}
	for i := range p.Predicates {
		p.Predicates[i].Version = version
	}
	return p
}
