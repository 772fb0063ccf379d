package transform

import (
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const (
	keySchemaName    = "schema.name"
	keySchemaVersion = "schema.version"
)

func metadataDef() *config.Def {
	return config.New(
		config.Key{Name: keySchemaName, Importance: config.High, Doc: "Schema name to set."},
		config.Key{Name: keySchemaVersion, Type: config.Int, Importance: config.High, Doc: "Schema version to set."},
		fillKey(),
	).Cross(func(v config.Values) map[string][]string {
		if v.Valid(keySchemaVersion) && v.IsNull(keySchemaName) && v.IsNull(keySchemaVersion) {
			return map[string][]string{keySchemaName: {"Neither schema name nor version configured"}}
		}
		return nil
	})
}

type metadata struct {
	part
	name             string
	version          int
	setName, setVers bool
	fill             bool
	schemas          cache[*connector.Schema, *layout]
}

func newMetadata(v config.Values, p part) (connector.Transform, error) {
	return &metadata{part: p, name: v.String(keySchemaName), version: v.Int(keySchemaVersion),
		setName: v.Has(keySchemaName), setVers: v.Has(keySchemaVersion), fill: v.Bool(keyFill)}, nil
}

func (m *metadata) Apply(r *connector.Record) (*connector.Record, error) {
	v := m.of(r)
	switch {
	case v.Schema() == nil && v.IsNull():
		return r, nil
	case v.Schema() == nil:
		return nil, dataError("Schema required for [updating schema metadata]")
	}
	out, err := m.schemas.get(v.Schema(), m.changed)
	if err != nil {
		return nil, err
	}
	if v, err = m.with(v, out); err != nil {
		return nil, err
	}
	m.put(r, v)
	return r, nil
}

func (m *metadata) changed(s *connector.Schema) (*layout, error) {
	out := *s
	if m.setName {
		out.Name = m.name
	}
	if m.setVers {
		out.Version = m.version
	}
	return newLayout(&out), nil
}

// with gives v under the other schema.
func (m *metadata) with(v connector.Value, out *layout) (connector.Value, error) {
	if out.schema.Type != connector.Struct || v.IsNull() {
		// The name may change what the value means, so it must not stay with an encoding that reads
		// it by the old one.
		native, err := v.Native()
		return connector.NewValue(out.schema, native), err
	}
	if raw, enc, lazy := v.Wire(); lazy && !(m.fill && hasDefaults(out.schema)) {
		return connector.Lazy(&renamed{out.schema, enc}, raw), nil
	}
	fields, err := split(v, 0, m.fill)
	if err != nil {
		return v, err
	}
	return out.join(v, fields)
}

func hasDefaults(s *connector.Schema) bool {
	for _, f := range s.Fields {
		if f.Schema.HasDefault && f.Schema.Default != nil {
			return true
		}
	}
	return false
}
