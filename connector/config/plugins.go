package config

import (
	"errors"
	"slices"
	"strings"
)

// The kinds of plugins that a configuration can name, as GET /connector-plugins calls them.
const (
	KindTransformation  = "transformation"
	KindPredicate       = "predicate"
	KindConverter       = "converter"
	KindHeaderConverter = "header_converter"
)

// ErrNoClass says that no plugin of any kind has the class asked for.
var ErrNoClass = errors.New("no plugin has this class")

// Lookup gives the definition of a plugin by its kind and class (full name or alias); Def.Of should
// have told the class's full name and version. The error is ErrNoClass, or another whose text is
// shown as it is: WrongKind and AbstractClass have Kafka's. It is pure.
type Lookup func(kind, class string) (*Def, error)

// WrongKind is the error for a class that is a plugin, but of another kind. class is its full name.
func WrongKind(kind, class string) error {
	return errorText("Class class %s does not implement the %s interface", class, interfaceOf(kind))
}

// AbstractClass is the error for the outer class of transforms that come as $Key and $Value.
func AbstractClass(variants ...string) error {
	text := "This class is abstract and cannot be created."
	if len(variants) > 0 {
		text += " Did you mean " + strings.Join(variants, ", ") + "?"
	}
	return errorText("%s", text)
}

func interfaceOf(kind string) string {
	switch kind {
	case KindTransformation:
		return "Transformation"
	case KindPredicate:
		return "Predicate"
	case KindHeaderConverter:
		return "HeaderConverter"
	}
	return "Converter"
}

// naming completes a Class key that names a plugin of a kind. classes may be nil.
func (k Key) naming(kind string, lookup Lookup, classes func(kind string) []string) Key {
	k.Type = Class
	k.Resolve = func(class string) (string, error) {
		d, err := lookup(kind, class)
		switch {
		case errors.Is(err, ErrNoClass):
			return "", err
		case err != nil || d == nil || d.class == "":
			return class, nil
		}
		return d.class, nil
	}
	before := k.Validate
	k.Validate = Func("class of a "+strings.ReplaceAll(kind, "_", " "), func(name string, value any) error {
		if before != nil {
			if err := before.Check(name, value); err != nil {
				return err
			}
		}
		class, ok := value.(string)
		if !ok {
			return nil
		}
		_, err := lookup(kind, class)
		return err
	})
	if classes != nil {
		k.Recommend = func(map[string]string) []string { return classes(kind) }
	}
	return k
}

// Transforms gives a definition whose keys exist for the aliases in transforms and predicates:
// transforms.<alias>.type and the keys of the class that it names, as ConnectorConfig.enrich adds
// them. Add it with Def.With. classes gives the class names to recommend for a kind; it may be nil.
func Transforms(lookup Lookup, classes func(kind string) []string) *Def {
	kinds := []aliased{
		{"transforms", "Transforms", KindTransformation, lookup, classes},
		{"predicates", "Predicates", KindPredicate, lookup, classes},
	}
	d := New()
	for _, a := range kinds {
		d = d.Expand(a.keys).Cross(a.cross)
	}
	return d
}

// aliased is a list of aliases, each of which configures a plugin.
type aliased struct {
	list, group, kind string
	lookup            Lookup
	classes           func(kind string) []string
}

// aliases gives the list's items, each once.
func (a aliased) aliases(raw map[string]string) []string { return distinct(SplitList(raw[a.list])) }

func (a aliased) keys(raw map[string]string) []Key {
	var keys []Key
	for _, alias := range a.aliases(raw) {
		keys = append(keys, a.keysOf(alias, raw)...)
	}
	return keys
}

func (a aliased) keysOf(alias string, raw map[string]string) []Key {
	prefix, group := a.list+"."+alias+".", a.group+": "+alias
	plugin, err := a.plugin(prefix, raw)
	version := Key{
		Name: prefix + "plugin.version", Importance: Medium, Group: group, Order: 1, Width: WidthMedium,
		Doc: "Version of the '" + alias + "' " + a.kind + "'s plugin.", DisplayName: interfaceOf(a.kind) + " version for " + alias,
	}
	if plugin != nil && plugin.version != "" {
		version.Default = plugin.version
	}
	keys := []Key{a.typeKey(prefix, alias, group, raw), version}
	if err != nil || plugin == nil {
		return keys
	}
	own := plugin.For(under(raw, prefix)).Keys()
	if a.kind == KindTransformation {
		own = append(conditions(), own...)
	}
	for _, k := range own {
		k = k.embedded(prefix)
		// Keys that the host reads itself mask those of the plugin.
		if slices.ContainsFunc(keys, func(other Key) bool { return other.Name == k.Name }) {
			continue
		}
		k.Order = len(keys)
		if k.Group != "" {
			k.Group = ": " + k.Group
		}
		k.Group = group + k.Group
		keys = append(keys, k)
	}
	return keys
}

// plugin gives the definition of the plugin that <prefix>type names; nil when none is named.
func (a aliased) plugin(prefix string, raw map[string]string) (*Def, error) {
	class := Trim(raw[prefix+"type"])
	if class == "" {
		return nil, nil
	}
	return a.lookup(a.kind, class)
}

func (a aliased) typeKey(prefix, alias, group string, raw map[string]string) Key {
	k := Key{
		Name: prefix + "type", Required: true, Importance: High, Group: group, Width: WidthLong,
		Doc: "Class of the '" + alias + "' " + a.kind + ".", DisplayName: interfaceOf(a.kind) + " type for " + alias,
	}
	if a.kind == KindTransformation {
		k.Validate = Func("", func(string, any) error { return checkNegate(prefix, raw) })
	}
	return k.naming(a.kind, a.lookup, a.classes)
}

func checkNegate(prefix string, raw map[string]string) error {
	_, negate := raw[prefix+"negate"]
	_, predicate := raw[prefix+"predicate"]
	if negate && !predicate {
		return errorText("Config '%snegate' was provided but there is no config '%spredicate' defining a predicate to be negated.", prefix, prefix)
	}
	return nil
}

// conditions are the keys that every transform has.
func conditions() []Key {
	return []Key{
		{Name: "predicate", Importance: Medium, Doc: "Alias of the predicate that decides which records the transformation is applied to; unset means all."},
		{Name: "negate", Type: Boolean, Default: false, Importance: Medium, Doc: "Whether the transformation is applied where the predicate does not hold."},
	}
}

// cross runs the rules of the named plugins over their own keys.
func (a aliased) cross(v Values) map[string][]string {
	errs := map[string][]string{}
	for _, alias := range a.aliases(v.raw) {
		prefix := a.list + "." + alias + "."
		plugin, err := a.plugin(prefix, v.raw)
		if err != nil || plugin == nil {
			continue
		}
		for _, rule := range plugin.cross {
			for name, texts := range rule(v.under(prefix)) {
				errs[prefix+name] = append(errs[prefix+name], texts...)
			}
		}
	}
	return errs
}
