package config

import (
	"maps"
	"slices"
	"strings"
)

// Def is a set of keys in a fixed order, with the rules that concern several of them. A Def does
// not change: every method that adds something gives a new one. It is safe for concurrent use.
type Def struct {
	parts []part
	names map[string]int // the place in parts of each declared key
	cross []func(Values) map[string][]string

	class, version string
}

// part is a declared key, or a function that makes keys at this place.
type part struct {
	key    Key
	expand func(raw map[string]string) []Key
}

// New declares keys. It panics on a name declared twice and on a default that the key itself
// would refuse. Keys of a group without an Order are numbered in the order given.
func New(keys ...Key) *Def {
	d := &Def{names: make(map[string]int, len(keys))}
	last := map[string]int{}
	for _, k := range keys {
		if k.Group != "" && k.Order == 0 {
			k.Order = last[k.Group] + 1
		}
		last[k.Group] = max(last[k.Group], k.Order)
		if !d.add(k.normalized()) {
			panic("config: key " + k.Name + " is declared twice")
		}
	}
	return d
}

// add appends a key unless its name is taken.
func (d *Def) add(k Key) bool {
	if _, taken := d.names[k.Name]; taken {
		return false
	}
	d.names[k.Name] = len(d.parts)
	d.parts = append(d.parts, part{key: k})
	return true
}

func (d *Def) clone() *Def {
	c := *d
	c.parts, c.names, c.cross = slices.Clone(d.parts), maps.Clone(d.names), slices.Clone(d.cross)
	return &c
}

// Of names the plugin that d configures: the full name of its class, as the REST API shows it,
// and its version.
func (d *Def) Of(class, version string) *Def {
	c := d.clone()
	c.class, c.version = class, version
	return c
}

// Keys gives the declared keys in order, without those that Expand would add.
func (d *Def) Keys() []Key {
	keys := make([]Key, 0, len(d.names))
	for _, p := range d.parts {
		if p.expand == nil {
			keys = append(keys, p.key)
		}
	}
	return keys
}

// Lookup gives the declared key of that name.
func (d *Def) Lookup(name string) (Key, bool) {
	i, ok := d.names[name]
	if !ok {
		return Key{}, false
	}
	return d.parts[i].key, true
}

// With adds what other has: its keys (where both declare one, d's stays), expansions and rules.
func (d *Def) With(other *Def) *Def {
	c := d.clone()
	for _, p := range other.parts {
		if p.expand != nil {
			c.parts = append(c.parts, p)
		} else {
			c.add(p.key)
		}
	}
	c.cross = append(c.cross, other.cross...)
	return c
}

// Change edits the declaration of one key in its place, such as the default that a worker's own
// configuration gives it. It panics when name is not declared.
func (d *Def) Change(name string, edit func(*Key)) *Def {
	i, ok := d.names[name]
	if !ok {
		panic("config: key " + name + " is not declared and cannot be changed")
	}
	c := d.clone()
	k := c.parts[i].key
	edit(&k)
	k.Name = name
	c.parts[i].key = k.normalized()
	return c
}

// Prefixed gives the same definition with prefix before every name, as ConfigDef.embed does:
// validators still see, and name in their errors, the name without the prefix; functions that
// take a configuration get the part of it under the prefix.
func (d *Def) Prefixed(prefix string) *Def {
	c := &Def{names: make(map[string]int, len(d.names)), class: d.class, version: d.version}
	for _, p := range d.parts {
		if p.expand == nil {
			c.add(p.key.embedded(prefix))
			continue
		}
		expand := p.expand
		c.parts = append(c.parts, part{expand: func(raw map[string]string) []Key {
			keys := slices.Clone(expand(under(raw, prefix)))
			for i, k := range keys {
				keys[i] = k.embedded(prefix)
			}
			return keys
		}})
	}
	for _, fn := range d.cross {
		c.cross = append(c.cross, func(v Values) map[string][]string {
			errs := map[string][]string{}
			for name, texts := range fn(v.under(prefix)) {
				errs[prefix+name] = texts
			}
			return errs
		})
	}
	return c
}

// embedded gives the key as it stands in a definition that holds its own under prefix.
func (k Key) embedded(prefix string) Key {
	k.Name = prefix + k.Name
	if k.DisplayName == "" {
		k.DisplayName = strings.TrimPrefix(k.Name, prefix)
	}
	if k.Validate != nil {
		k.Validate = embeddedValidator{prefix, k.Validate}
	}
	k.Dependents = slices.Clone(k.Dependents)
	for i, name := range k.Dependents {
		k.Dependents[i] = prefix + name
	}
	if fn := k.Recommend; fn != nil {
		k.Recommend = func(raw map[string]string) []string { return fn(under(raw, prefix)) }
	}
	if fn := k.Visible; fn != nil {
		k.Visible = func(raw map[string]string) bool { return fn(under(raw, prefix)) }
	}
	return k
}

// Expand adds keys that exist only because of the values of others, such as transforms.<alias>.type.
// fn is pure: it is called for each configuration, with texts as given (not trimmed) and without
// nulls. A key whose name is declared already is left out.
func (d *Def) Expand(fn func(raw map[string]string) []Key) *Def {
	c := d.clone()
	c.parts = append(c.parts, part{expand: fn})
	return c
}

// Cross adds a rule over several keys. fn gives error texts by the name of the key to show them
// at; the key need not be declared. It is called even when single keys have errors: such a key
// counts as null, and Values.Valid tells.
func (d *Def) Cross(fn func(Values) map[string][]string) *Def {
	c := d.clone()
	c.cross = append(c.cross, fn)
	return c
}

// For gives the definition that applies to one configuration: expansions have become keys. For
// documentation pass a configuration whose aliases are placeholders, such as {"domains": "<domain>"}.
func (d *Def) For(raw map[string]string) *Def {
	if len(d.parts) == len(d.names) {
		return d
	}
	c := &Def{names: make(map[string]int, len(d.parts)), cross: d.cross, class: d.class, version: d.version}
	for _, p := range d.parts {
		if p.expand == nil {
			c.add(p.key)
			continue
		}
		for _, k := range p.expand(raw) {
			if _, declared := d.names[k.Name]; !declared {
				c.add(k.normalized())
			}
		}
	}
	return c
}

// under gives the entries below prefix, without the prefix.
func under(raw map[string]string, prefix string) map[string]string {
	m := map[string]string{}
	for k, v := range raw {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			m[rest] = v
		}
	}
	return m
}
