package transform

import (
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
)

// dropper removes the fields that a header names from the value, and from the key.
type dropper struct {
	header     string
	fromKey    bool
	compatible bool // only optional fields
	plans      cache[dropKey, selection]
}

type dropKey struct {
	schema *connector.Schema
	names  string // joined by NUL
}

func (d *dropper) apply(r *connector.Record) error {
	i := slices.IndexFunc(r.Headers, func(h connector.Header) bool { return h.Key == d.header })
	if i < 0 {
		return nil
	}
	native, err := r.Headers[i].Value.Native()
	if err != nil || native == nil {
		return err
	}
	list, ok := native.([]any)
	if !ok {
		return dataError("header %s must be a list of field names, found: %s", d.header, classOf(r.Headers[i].Value.Schema(), native))
	}
	names := make([]string, len(list))
	for i, item := range list {
		if names[i], ok = item.(string); !ok {
			return dataError("header %s must be a list of field names, found in it: %s", d.header, classOf(elementOf(r.Headers[i].Value.Schema()), item))
		}
	}
	value, err := d.without(r.Value, names)
	if err != nil {
		return err
	}
	key := r.Key
	if d.fromKey {
		if key, err = d.without(r.Key, names); err != nil {
			return err
		}
	}
	r.Key, r.Value = key, value
	return nil
}

// without gives a struct without the fields; other values stay.
func (d *dropper) without(v connector.Value, names []string) (connector.Value, error) {
	s := v.Schema()
	if v.IsNull() || s == nil || s.Type != connector.Struct {
		return v, nil
	}
	sel, err := d.plans.get(dropKey{s, strings.Join(names, "\x00")}, func(k dropKey) (selection, error) {
		var sel selection
		var fields []connector.Field
		for i, f := range s.Fields {
			if !slices.Contains(names, f.Name) || d.compatible && !f.Schema.Optional {
				fields, sel.places = append(fields, f), append(sel.places, i)
			}
		}
		out, err := basics(s, fields)
		if err == nil {
			sel.layout = newLayout(out)
		}
		return sel, err
	})
	if err != nil || len(sel.places) == len(s.Fields) {
		return v, err
	}
	return sel.of(v, false)
}

// elementOf gives the schema of the elements of s, nil where there is none.
func elementOf(s *connector.Schema) *connector.Schema {
	if s == nil {
		return nil
	}
	return s.Elem
}
