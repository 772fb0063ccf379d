// Package configs holds the files that a user edits to install the pipeline. docs/pipeline.md goes through them in
// order.
package configs

import "embed"

// Files are the configuration files, by folder: sqlserver (T-SQL), debezium and connectors (connector JSON), kafka
// (topics and rights), worker (properties), cloudformation (templates) and statemachines (Amazon States Language, with ${…} for
// CloudFormation's DefinitionSubstitutions).
//
//go:embed sqlserver debezium connectors kafka worker statemachines cloudformation
var Files embed.FS
