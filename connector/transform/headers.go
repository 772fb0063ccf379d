package transform

import (
	"slices"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/primitive"
)

func dropHeadersDef() *config.Def {
	return config.New(config.Key{Name: "headers", Type: config.List, Required: true, Importance: config.High, Validate: filledList(),
		Doc: "The name of the headers to be removed."})
}

type dropHeaders map[string]bool

func newDropHeaders(v config.Values) (connector.Transform, error) {
	d := dropHeaders{}
	for _, name := range v.List("headers") {
		d[name] = true
	}
	return d, nil
}

func (d dropHeaders) Apply(r *connector.Record) (*connector.Record, error) {
	dropped := func(h connector.Header) bool { return d[h.Key] }
	if slices.ContainsFunc(r.Headers, dropped) {
		r.Headers = slices.DeleteFunc(slices.Clone(r.Headers), dropped)
	}
	return r, nil
}

func insertHeaderDef() *config.Def {
	return config.New(
		config.Key{Name: "header", Required: true, Importance: config.High, Validate: config.NonNull,
			Doc: "The name of the header."},
		config.Key{Name: "value.literal", Required: true, Importance: config.High, Validate: config.NonNull,
			Doc: "The literal value that is to be set as the header value on all records. It is read as SimpleHeaderConverter reads a header."},
	)
}

type insertHeader connector.Header

func newInsertHeader(v config.Values) (connector.Transform, error) {
	h := connector.Header{Key: v.String("header")}
	for _, p := range primitive.Plugins() {
		if p.Class != "org.apache.kafka.connect.storage.SimpleHeaderConverter" {
			continue
		}
		c, err := p.NewHeader(config.Values{})
		if err != nil {
			return nil, err
		}
		h.Value, err = c.ConvertHeader("", h.Key, []byte(v.String("value.literal")))
		return insertHeader(h), err
	}
	return nil, message("the converter that reads value.literal, SimpleHeaderConverter, is missing from this build")
}

func (h insertHeader) Apply(r *connector.Record) (*connector.Record, error) {
	r.Headers = append(slices.Clip(r.Headers), connector.Header(h))
	return r, nil
}

func headerFromDef() *config.Def {
	return config.New(
		config.Key{Name: "fields", Type: config.List, Required: true, Importance: config.High, Validate: filledList(),
			Doc: "Field names in the record whose values are to be copied or moved to headers."},
		config.Key{Name: "headers", Type: config.List, Required: true, Importance: config.High, Validate: filledList(),
			Doc: "Header names, in the same order as the field names listed in the fields configuration property."},
		config.Key{Name: "operation", Required: true, Importance: config.High, Validate: config.OneOf("move", "copy"),
			Doc: "Either move if the fields are to be moved to the headers (removed from the key/value), or copy if the fields are to be copied to the headers (retained in the key/value)."},
		fillKey(),
	).Cross(func(v config.Values) map[string][]string {
		if v.Valid("fields") && v.Valid("headers") && len(v.List("fields")) != len(v.List("headers")) {
			return map[string][]string{"fields": {"'fields' config must have the same number of elements as 'headers' config."}}
		}
		return nil
	})
}

type headerFrom struct {
	part
	fields, headers []string
	move, fill      bool
	plans           cache[*connector.Schema, headerPlan]
}

// headerPlan is what headerFrom does with one schema.
type headerPlan struct {
	picks []int   // the places of the fields that become headers
	stay  []int   // the places of those that stay; with move only
	rest  *layout // of those that stay; with move only
}

func newHeaderFrom(v config.Values, p part) (connector.Transform, error) {
	return &headerFrom{part: p, fields: v.List("fields"), headers: v.List("headers"), move: v.String("operation") == "move", fill: v.Bool(keyFill)}, nil
}

func (h *headerFrom) purpose() string {
	if h.move {
		return "header move"
	}
	return "header copy"
}

func (h *headerFrom) Apply(r *connector.Record) (*connector.Record, error) {
	v := h.of(r)
	if v.Schema() == nil {
		return h.schemaless(r, v)
	}
	if err := requireStruct(v, h.purpose()); err != nil {
		return nil, err
	}
	plan, err := h.plans.get(v.Schema(), h.plan)
	if err != nil {
		return nil, err
	}
	fields, err := split(v, 0, h.fill)
	if err != nil {
		return nil, err
	}
	headers := slices.Grow(slices.Clip(r.Headers), len(h.headers))
	for i, at := range plan.picks {
		headers = append(headers, connector.Header{Key: h.headers[i], Value: fields[at]})
	}
	if h.move {
		if v, err = plan.rest.join(v, choose(fields, plan.stay)); err != nil {
			return nil, err
		}
		h.put(r, v)
	}
	r.Headers = headers
	return r, nil
}

func (h *headerFrom) plan(s *connector.Schema) (headerPlan, error) {
	var p headerPlan
	for _, name := range h.fields {
		at := s.Index(name)
		if at < 0 {
			return p, dataError("Field does not exist: %s", name)
		}
		p.picks = append(p.picks, at)
	}
	if !h.move {
		return p, nil
	}
	var fields []connector.Field
	for i, f := range s.Fields {
		if !slices.Contains(h.fields, f.Name) {
			fields, p.stay = append(fields, f), append(p.stay, i)
		}
	}
	out, err := basics(s, fields)
	if err == nil {
		p.rest = newLayout(out)
	}
	return p, err
}

// choose gives the fields at the places.
func choose(fields []connector.Value, places []int) []connector.Value {
	out := make([]connector.Value, len(places))
	for i, at := range places {
		out[i] = fields[at]
	}
	return out
}

func (h *headerFrom) schemaless(r *connector.Record, v connector.Value) (*connector.Record, error) {
	m, err := requireMap(v, h.purpose())
	if err != nil {
		return nil, err
	}
	headers := slices.Grow(slices.Clip(r.Headers), len(h.headers))
	for i, name := range h.fields {
		value, _ := get(m, name)
		headers = append(headers, connector.Header{Key: h.headers[i], Value: connector.NewValue(nil, value)})
	}
	if h.move {
		moved := func(e connector.Entry) bool {
			name, ok := e.Key.(string)
			return ok && slices.Contains(h.fields, name)
		}
		h.put(r, withEntries(slices.DeleteFunc(entriesOf(m, 0), moved)))
	}
	r.Headers = headers
	return r, nil
}
