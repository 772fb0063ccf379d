package transform

import (
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func hoistDef() *config.Def {
	return config.New(config.Key{Name: "field", Required: true, Importance: config.Medium,
		Doc: "Field name for the single field that will be created in the resulting Struct or Map."})
}

type hoist struct {
	part
	field   string
	layouts cache[*connector.Schema, *layout]
}

func newHoist(v config.Values, p part) (connector.Transform, error) {
	return &hoist{part: p, field: v.String("field")}, nil
}

func (h *hoist) Apply(r *connector.Record) (*connector.Record, error) {
	v := h.of(r)
	if v.Schema() == nil {
		native, err := v.Native()
		if err != nil {
			return nil, err
		}
		h.put(r, withEntries([]connector.Entry{{Key: h.field, Value: native}}))
		return r, nil
	}
	layout, err := h.layouts.get(v.Schema(), func(s *connector.Schema) (*layout, error) {
		return newLayout(&connector.Schema{Type: connector.Struct, Fields: []connector.Field{{Name: h.field, Schema: s}}}), nil
	})
	if err != nil {
		return nil, err
	}
	if v, err = layout.join(v, []connector.Value{v}); err != nil {
		return nil, err
	}
	h.put(r, v)
	return r, nil
}

func toKeyDef() *config.Def {
	return config.New(
		config.Key{Name: "fields", Type: config.List, Required: true, Importance: config.High, Validate: filledList(),
			Doc: "Field names on the record value to extract as the record key."},
		fillKey(),
	)
}

type toKey struct {
	fields []string
	fill   bool
	plans  cache[*connector.Schema, selection]
}

func newToKey(v config.Values) (connector.Transform, error) {
	return &toKey{fields: v.List("fields"), fill: v.Bool(keyFill)}, nil
}

func (t *toKey) Apply(r *connector.Record) (*connector.Record, error) {
	const purpose = "copying fields from value to key"
	if r.Value.Schema() == nil {
		m, err := requireMap(r.Value, purpose)
		if err != nil {
			return nil, err
		}
		entries := make([]connector.Entry, len(t.fields))
		for i, name := range t.fields {
			v, _ := get(m, name)
			entries[i] = connector.Entry{Key: name, Value: v}
		}
		r.Key = withEntries(entries)
		return r, nil
	}
	if err := requireStruct(r.Value, purpose); err != nil {
		return nil, err
	}
	sel, err := t.plans.get(r.Value.Schema(), t.plan)
	if err != nil {
		return nil, err
	}
	fields, err := split(r.Value, 0, t.fill)
	if err != nil {
		return nil, err
	}
	// The key is materialised: it is small, and the wire bytes of the value are not its own.
	key, err := sel.layout.native(choose(fields, sel.places))
	if err != nil {
		return nil, err
	}
	r.Key = key
	return r, nil
}

func (t *toKey) plan(s *connector.Schema) (selection, error) {
	var sel selection
	var fields []connector.Field
	for _, name := range t.fields {
		at := s.Index(name)
		if at < 0 {
			return sel, dataError("Field does not exist: %s", name)
		}
		fields, sel.places = append(fields, s.Fields[at]), append(sel.places, at)
	}
	sel.layout = newLayout(&connector.Schema{Type: connector.Struct, Fields: fields})
	return sel, nil
}
