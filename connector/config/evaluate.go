package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Errors is everything that is wrong with a configuration.
type Errors struct{ list []KeyError }

// KeyError is one problem: the key that shows it, and the message, which names the key by itself.
type KeyError struct{ Key, Message string }

// All gives the problems: those of undeclared keys by name, then the others in the order of the
// declaration.
func (e *Errors) All() []KeyError { return slices.Clone(e.list) }

// Messages gives the texts of All.
func (e *Errors) Messages() []string {
	texts := make([]string, len(e.list))
	for i, p := range e.list {
		texts[i] = p.Message
	}
	return texts
}

// Error gives the messages, one a line.
func (e *Errors) Error() string { return strings.Join(e.Messages(), "\n") }

const nullMessage = "Null value can not be supplied as the configuration value."

// evaluation is a configuration under its definition: one outcome for each key, and the errors of
// keys that nobody declared.
type evaluation struct {
	raw      map[string]string // without nulls
	keys     []outcome
	strays   map[string][]string
	declared map[string]int
}

type outcome struct {
	key   Key
	value any
	errs  []string
}

// evaluate does what ConfigDef.validateAll and AbstractHerder.validateConnectorConfig do together.
// Where a text cannot be parsed Kafka's validate still asks the validator about the null that is
// left, and reports both; followUps says whether to do that.
func (d *Def) evaluate(given map[string]*string, followUps bool) *evaluation {
	e := &evaluation{raw: make(map[string]string, len(given)), strays: map[string][]string{}, declared: map[string]int{}}
	for name, text := range given {
		if text != nil {
			e.raw[name] = *text
		}
	}
	for _, k := range d.For(e.raw).Keys() {
		text, isGiven := given[k.Name]
		e.declared[k.Name] = len(e.keys)
		e.keys = append(e.keys, k.evaluate(text, isGiven, followUps))
	}
	values := e.values()
	for _, rule := range d.cross {
		found := rule(values)
		for _, name := range slices.Sorted(maps.Keys(found)) {
			e.report(name, found[name]...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if i, ok := e.declared[name]; given[name] == nil && !(ok && e.keys[i].key.Nullable) {
			e.report(name, nullMessage)
		}
	}
	return e
}

func (k Key) evaluate(text *string, given, followUps bool) outcome {
	o := outcome{key: k}
	var err error
	switch {
	case !given && !k.Required:
		o.value = k.Default
		return o
	case !given:
		err = missing(k.Name)
	case text != nil:
		o.value, err = k.parse(*text)
	}
	if err != nil {
		o.errs = append(o.errs, err.Error())
	}
	if k.Validate != nil && (err == nil || followUps) {
		if err := k.Validate.Check(k.Name, o.value); err != nil {
			o.errs = append(o.errs, err.Error())
		}
	}
	return o
}

func (e *evaluation) report(name string, texts ...string) {
	if i, ok := e.declared[name]; ok {
		e.keys[i].errs = append(e.keys[i].errs, texts...)
	} else if len(texts) > 0 {
		e.strays[name] = append(e.strays[name], texts...)
	}
}

func (e *evaluation) values() Values {
	v := Values{fields: make(map[string]field, len(e.keys)), raw: e.raw}
	for _, o := range e.keys {
		f := field{typ: o.key.Type, unit: o.key.Unit, value: o.value}
		if len(o.errs) > 0 {
			f.value, f.invalid = nil, true
		}
		v.fields[o.key.Name] = f
	}
	return v
}

func (e *evaluation) errors() error {
	var list []KeyError
	for _, name := range slices.Sorted(maps.Keys(e.strays)) {
		for _, text := range e.strays[name] {
			list = append(list, KeyError{name, text})
		}
	}
	for _, o := range e.keys {
		for _, text := range o.errs {
			list = append(list, KeyError{o.key.Name, text})
		}
	}
	if list == nil {
		return nil
	}
	return &Errors{list}
}

// Parse reads a configuration. The error is an *Errors with every problem: one for each key that
// is missing, unreadable or refused, and those of the Cross rules. Undeclared keys are kept as
// they are (Values.Raw).
func (d *Def) Parse(raw map[string]string) (Values, error) {
	given := make(map[string]*string, len(raw))
	for name, text := range raw {
		given[name] = &text
	}
	e := d.evaluate(given, false)
	if err := e.errors(); err != nil {
		return Values{}, err
	}
	return e.values(), nil
}

// KeyValue is one entry of the answer of PUT /connector-plugins/{p}/config/validate.
type KeyValue struct {
	Definition *KeyInfo  `json:"definition"` // nil for a key that nobody declares
	Value      ValueInfo `json:"value"`
}

// Validate judges a configuration in which nil is a JSON null, as the validate endpoint answers:
// undeclared keys with errors first, by name, then every declared key that is not Internal (or has
// errors) in order. Secrets are hidden.
func (d *Def) Validate(raw map[string]*string) []KeyValue {
	e := d.evaluate(raw, true)
	answer := make([]KeyValue, 0, len(e.keys)+len(e.strays))
	for _, name := range slices.Sorted(maps.Keys(e.strays)) {
		v := newValueInfo(name, raw[name], e.strays[name])
		if v.Value != nil && hides(name, String, *v.Value) {
			v.Value = ptr(Hidden)
		}
		answer = append(answer, KeyValue{Value: v})
	}
	for _, o := range e.keys {
		if o.key.Internal && o.errs == nil {
			continue
		}
		answer = append(answer, KeyValue{Definition: ptr(o.key.Info()), Value: o.info(e.raw)})
	}
	return answer
}

// ValidateUnder judges the part of a configuration under prefix, such as "value.converter.", as
// AbstractHerder.validateConverterConfig does: texts name the keys without the prefix, the answer
// with it. Nulls there are no errors (those of the whole configuration are reported for it).
func (d *Def) ValidateUnder(prefix string, raw map[string]*string) []KeyValue {
	part := map[string]*string{}
	for name, text := range raw {
		if rest, ok := strings.CutPrefix(name, prefix); ok && text != nil {
			part[rest] = text
		}
	}
	answer := d.Validate(part)
	for i := range answer {
		answer[i].Value.Name = prefix + answer[i].Value.Name
		if answer[i].Definition != nil {
			answer[i].Definition.Name = prefix + answer[i].Definition.Name
		}
	}
	return answer
}

func (o outcome) info(raw map[string]string) ValueInfo {
	v := newValueInfo(o.key.Name, render(o.value), o.errs)
	if v.Value != nil && hides(o.key.Name, o.key.Type, *v.Value) {
		v.Value = ptr(Hidden)
	}
	if o.key.Recommend != nil {
		v.Recommended = append(v.Recommended, o.key.Recommend(raw)...)
	}
	if o.key.Visible != nil {
		v.Visible = o.key.Visible(raw)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

// marshal encodes without escaping <, > and &, which class and key names may hold.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return []byte(strings.TrimSuffix(b.String(), "\n")), err
}
