package debezium

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stepconnect/stepconnect/connector"
)

// The fields that are read, and their places in scratch.
const (
	envOp = iota
	envBefore
	envAfter
	envSource
	numEnvelope
)

const (
	srcConnector = iota
	srcName
	srcDB
	srcSchema
	srcTable
	srcSnapshot
	srcCommitLSN
	srcChangeLSN
	srcTsMs
	srcSerial
	srcLSN
	numSource
)

var (
	envelopeNames = [numEnvelope]string{"op", "before", "after", "source"}
	sourceNames   = [numSource]string{"connector", "name", "db", "schema", "table", "snapshot",
		"commit_lsn", "change_lsn", "ts_ms", "event_serial_no", "lsn"}
	sourcePaths = [numSource]string{"value.source.connector", "value.source.name", "value.source.db",
		"value.source.schema", "value.source.table", "value.source.snapshot", "value.source.commit_lsn", "value.source.change_lsn"}
	sourceIsText = [numSource]bool{srcConnector: true, srcName: true, srcDB: true, srcSchema: true, srcTable: true,
		srcCommitLSN: true, srcChangeLSN: true}
)

// plan says where the fields are in the structs of one schema: -1 for a field that it lacks.
// err says why the schema is no envelope.
type plan struct {
	envelope [numEnvelope]int
	source   [numSource]int
	err      error
	memories memories
}

// maxPlans bounds the cache: a converter that makes a schema for each record must not fill the
// memory. Real topics have a handful of schemas.
const maxPlans = 1024

type planCache struct {
	plans sync.Map // *connector.Schema -> *plan
	size  atomic.Int64
}

var schemaless plan

// of gives the plan of v's schema. Schemaless values have an empty one: their fields are
// looked up by name in each record.
func (c *planCache) of(v *connector.Value) (*plan, error) {
	s := v.Schema()
	if s == nil {
		return &schemaless, checkMap(v)
	}
	if p, ok := c.plans.Load(s); ok {
		pl := p.(*plan)
		return pl, pl.err
	}
	pl := newPlan(s)
	if c.size.Add(1) > maxPlans {
		c.plans.Clear()
		c.size.Store(1)
	}
	c.plans.Store(s, pl)
	return pl, pl.err
}

func newPlan(s *connector.Schema) *plan {
	p := &plan{}
	for i, name := range envelopeNames {
		p.envelope[i] = s.Index(name)
	}
	var source *connector.Schema
	if i := p.envelope[envSource]; i >= 0 {
		source = s.Fields[i].Schema
	}
	for i, name := range sourceNames {
		p.source[i] = source.Index(name)
	}
	p.err = checkFields(func(name string) bool { return s.Index(name) >= 0 }, s.Name)
	return p
}

func checkMap(v *connector.Value) error {
	m, err := mapOf(v)
	if err != nil {
		return fmt.Errorf("value: %w", err)
	}
	return checkFields(func(name string) bool {
		for i := range m.Entries {
			if m.Entries[i].Key == name {
				return true
			}
		}
		return false
	}, "")
}

// checkFields tells an envelope from the other records that Debezium writes, which a too wide
// topics.regex or a flattening transform brings here.
func checkFields(has func(string) bool, schema string) error {
	if has("op") && has("source") && (has("before") || has("after")) {
		return nil
	}
	name := schema
	if name == "" {
		name = "without a schema"
	}
	switch {
	case has("status") && has("event_count"):
		return fmt.Errorf("value (%s) is transaction metadata: leave Debezium's transaction topic out of topics", name)
	case has("ddl") || has("tableChanges"):
		return fmt.Errorf("value (%s) is a schema change: leave Debezium's schema change topic out of topics", name)
	case strings.HasSuffix(schema, ".Heartbeat") || has("ts_ms") && !has("op") && !has("source") && !has("id"):
		return fmt.Errorf("value (%s) is a heartbeat: leave Debezium's heartbeat topics out of topics", name)
	case has("__op") || has("__deleted") || strings.HasSuffix(schema, ".Value"):
		return fmt.Errorf("value (%s) is a flattened row: remove the ExtractNewRecordState transform, which drops the operation and the position", name)
	}
	var missing []string
	for _, f := range []string{"op", "source"} {
		if !has(f) {
			missing = append(missing, "value."+f)
		}
	}
	if !has("before") && !has("after") {
		missing = append(missing, "value.before and value.after")
	}
	return fmt.Errorf("value (%s) has no %s", name, strings.Join(missing, ", "))
}

var errNotRow = errors.New("expected a struct")

// structured gives v in a form that has fields: a struct, lazy or not, or a native map.
func structured(v *connector.Value) (connector.Value, error) {
	if s := v.Schema(); s != nil {
		if s.Type != connector.Struct {
			return *v, fmt.Errorf("found %s: %w", s.Type, errNotRow)
		}
		return *v, nil
	}
	n, err := v.Native()
	if err != nil {
		return *v, err
	}
	switch n := n.(type) {
	case *connector.MapValue:
		return connector.NewValue(nil, n), nil
	case *connector.StructValue:
		return connector.NewValue(n.Schema, n), nil
	}
	return *v, fmt.Errorf("found %s: %w", found(v), errNotRow)
}

func mapOf(v *connector.Value) (*connector.MapValue, error) {
	n, err := v.Native()
	if err != nil {
		return nil, err
	}
	if m, ok := n.(*connector.MapValue); ok {
		return m, nil
	}
	return nil, fmt.Errorf("found %s: %w", found(v), errNotRow)
}
