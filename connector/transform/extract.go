package transform

import (
	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func extractDef() *config.Def {
	return config.New(
		config.Key{Name: "field", Required: true, Importance: config.Medium, Doc: "Field name to extract."},
		syntaxKey(),
		fillKey(),
	).Cross(pathRule("field"))
}

type extract struct {
	part
	text  string
	path  []string
	fill  bool
	room  scratch
	plans cache[*connector.Schema, fieldAt]
}

// fieldAt is where a path leads to in a schema.
type fieldAt struct {
	places []int
	schema *connector.Schema
}

func newExtract(v config.Values, p part) (connector.Transform, error) {
	text := v.String("field")
	path, err := parsePath(text, v.String(keySyntax))
	return &extract{part: p, text: text, path: path, fill: v.Bool(keyFill)}, err
}

func (e *extract) Apply(r *connector.Record) (*connector.Record, error) {
	const purpose = "field extraction"
	v := e.of(r)
	if v.Schema() == nil {
		if v.IsNull() {
			return r, nil
		}
		m, err := requireMap(v, purpose)
		if err != nil {
			return nil, err
		}
		found, err := mapAt(m, e.path)
		if err != nil {
			return nil, err
		}
		e.put(r, connector.NewValue(nil, found))
		return r, nil
	}
	if err := requireStruct(v, purpose); err != nil && !v.IsNull() {
		return nil, err
	}
	at, err := e.plans.get(v.Schema(), e.locate)
	if err != nil {
		return nil, err
	}
	if v, err = at.in(v, &e.room, e.fill); err != nil {
		return nil, err
	}
	e.put(r, v)
	return r, nil
}

// locate finds the path in a schema; a field that is not there is an error.
func (e *extract) locate(s *connector.Schema) (fieldAt, error) {
	at := fieldAt{schema: s}
	for _, step := range e.path {
		if at.schema.Type != connector.Struct {
			return at, dataError("Cannot look up fields on non-struct type")
		}
		i := at.schema.Index(step)
		if i < 0 {
			return at, failure(illegalArgument, "Unknown field: %s", e.text)
		}
		at.places, at.schema = append(at.places, i), at.schema.Fields[i].Schema
	}
	return at, nil
}

// in gives the field of v; null where v or a struct on the way is null.
func (at fieldAt) in(v connector.Value, room *scratch, fill bool) (connector.Value, error) {
	for _, i := range at.places {
		if v.IsNull() {
			return connector.NewValue(at.schema, nil), nil
		}
		field := v.Schema().Fields[i].Schema
		var err error
		if v, err = room.pick(v, i); err != nil {
			return v, err
		}
		if fill {
			v = orDefault(v, field)
		}
	}
	if v.IsNull() {
		return connector.NewValue(at.schema, nil), nil
	}
	return v, nil
}
