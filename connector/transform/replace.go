package transform

import (
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func replaceDef() *config.Def {
	list := func(name, doc string, check config.Validator) config.Key {
		return config.Key{Name: name, Type: config.List, Default: []string{}, Importance: config.Medium, Validate: check, Doc: doc}
	}
	return config.New(
		list("exclude", "Fields to exclude. This takes precedence over the fields to include.", config.UniqueValues),
		list("include", "Fields to include. If specified, only these fields are used.", config.UniqueValues),
		list("renames", "Field rename mappings: old:new.", config.Func("list of colon-delimited pairs, e.g. foo:bar,abc:xyz", func(name string, value any) error {
			items, _ := value.([]string)
			for _, item := range items {
				if _, _, err := pair(item); err != nil {
					return config.Invalid(name, items, err.Error())
				}
			}
			return nil
		})),
		fillKey(),
	)
}

// pair reads a mapping old:new.
func pair(text string) (from, to string, err error) {
	from, to, ok := strings.Cut(text, ":")
	if !ok || to == "" || strings.Contains(to, ":") {
		return "", "", message("Invalid rename mapping: " + text)
	}
	return from, to, nil
}

type replace struct {
	part
	exclude, include []string
	renames          map[string]string
	fill             bool
	plans            cache[*connector.Schema, selection]
}

// selection is the fields of a struct that stay, and where they come from.
type selection struct {
	places []int
	layout *layout
}

func newReplace(v config.Values, p part) (connector.Transform, error) {
	t := &replace{part: p, exclude: v.List("exclude"), include: v.List("include"), renames: map[string]string{}, fill: v.Bool(keyFill)}
	for _, item := range v.List("renames") {
		from, to, err := pair(item)
		if err != nil {
			return nil, err
		}
		t.renames[from] = to
	}
	return t, nil
}

func (t *replace) keeps(name string) bool {
	return !slices.Contains(t.exclude, name) && (len(t.include) == 0 || slices.Contains(t.include, name))
}

func (t *replace) renamed(name string) string {
	if to, ok := t.renames[name]; ok {
		return to
	}
	return name
}

func (t *replace) Apply(r *connector.Record) (*connector.Record, error) {
	const purpose = "field replacement"
	v := t.of(r)
	if v.IsNull() {
		return r, nil
	}
	if v.Schema() == nil {
		m, err := requireMap(v, purpose)
		if err != nil {
			return nil, err
		}
		t.put(r, withEntries(t.entries(m)))
		return r, nil
	}
	if err := requireStruct(v, purpose); err != nil {
		return nil, err
	}
	sel, err := t.plans.get(v.Schema(), t.plan)
	if err != nil {
		return nil, err
	}
	if v, err = sel.of(v, t.fill); err != nil {
		return nil, err
	}
	t.put(r, v)
	return r, nil
}

func (t *replace) entries(m *connector.MapValue) []connector.Entry {
	var out entrySet
	for _, e := range m.Entries {
		if name, ok := e.Key.(string); ok && t.keeps(name) {
			out.put(t.renamed(name), e.Value)
		}
	}
	return out.entries
}

func (t *replace) plan(s *connector.Schema) (selection, error) {
	var sel selection
	var fields []connector.Field
	for i, f := range s.Fields {
		if t.keeps(f.Name) {
			fields = append(fields, connector.Field{Name: t.renamed(f.Name), Schema: f.Schema})
			sel.places = append(sel.places, i)
		}
	}
	out, err := basics(s, fields)
	if err != nil {
		return sel, err
	}
	sel.layout = newLayout(out)
	return sel, nil
}

func (sel selection) of(v connector.Value, fill bool) (connector.Value, error) {
	fields, err := split(v, 0, fill)
	if err != nil {
		return v, err
	}
	// Places ascend, so the fields that stay can move to the front.
	for i, at := range sel.places {
		fields[i] = fields[at]
	}
	return sel.layout.join(v, fields[:len(sel.places)])
}
