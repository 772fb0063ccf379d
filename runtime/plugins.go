package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// Kinds of plugins that are not named by config's own constants.
const kindSink = "sink"

// Plugins finds plugins by class: the full name, an alias of the plugin's own, the simple name, or
// the simple name without its kind at the end (Kafka Connect's PluginUtils).
type Plugins struct {
	list   connector.Plugins
	byName map[string]map[string][]pluginRef // kind, then name
	infos  []PluginInfo
}

type pluginRef struct {
	kind string
	info connector.Info
	def  *config.Def
	at   int // place in its list
}

// NewPlugins makes the registry of what a worker offers. The error names every class that two
// plugins of a kind claim.
func NewPlugins(list connector.Plugins) (*Plugins, error) {
	p := &Plugins{list: list, byName: map[string]map[string][]pluginRef{}}
	for i, s := range list.Sinks {
		p.add(pluginRef{kindSink, s.Info(), s.Config(), i}, "Connector")
	}
	for i, t := range list.Transforms {
		p.add(pluginRef{config.KindTransformation, t.Info, t.Config, i}, "Transformation")
	}
	for i, t := range list.Predicates {
		p.add(pluginRef{config.KindPredicate, t.Info, t.Config, i}, "Predicate")
	}
	for i, c := range list.Converters {
		if c.New != nil {
			p.add(pluginRef{config.KindConverter, c.Info, c.Config, i}, "Converter")
		}
		if c.NewHeader != nil {
			p.add(pluginRef{config.KindHeaderConverter, c.Info, c.Config, i}, "HeaderConverter", "Converter")
		}
	}
	var problems []error
	for _, kind := range sortedKeys(p.byName) {
		for _, name := range sortedKeys(p.byName[kind]) {
			refs := p.byName[kind][name]
			if len(refs) > 1 && slices.ContainsFunc(refs, func(r pluginRef) bool { return r.info.Class == name }) {
				problems = append(problems, fmt.Errorf("two plugins of kind %s are called %s", kind, name))
			}
		}
	}
	slices.SortStableFunc(p.infos, func(a, b PluginInfo) int {
		return cmp.Or(cmp.Compare(kindOrder(a.Type), kindOrder(b.Type)), strings.Compare(a.Class, b.Class))
	})
	return p, errors.Join(problems...)
}

// add registers a plugin under its names; suffixes are what its simple name may leave out.
func (p *Plugins) add(r pluginRef, suffixes ...string) {
	if r.def == nil {
		r.def = config.New()
	}
	r.def = r.def.Of(r.info.Class, r.info.Version)
	p.infos = append(p.infos, PluginInfo{Class: r.info.Class, Type: r.kind, Version: r.info.Version})
	names := append([]string{r.info.Class}, r.info.Aliases...)
	for _, class := range slices.Clone(names) {
		simple := class[strings.LastIndexByte(class, '.')+1:]
		names = append(names, simple)
		for _, s := range suffixes {
			if short, ok := strings.CutSuffix(simple, s); ok && short != "" {
				names = append(names, short)
			}
		}
	}
	if p.byName[r.kind] == nil {
		p.byName[r.kind] = map[string][]pluginRef{}
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		p.byName[r.kind][n] = append(p.byName[r.kind][n], r)
	}
}

func kindOrder(kind string) int {
	return slices.Index([]string{kindSink, "source", config.KindTransformation, config.KindPredicate, config.KindConverter, config.KindHeaderConverter}, kind)
}

// find gives the plugin of a kind and class.
func (p *Plugins) find(kind, class string) (pluginRef, error) {
	if refs := p.byName[kind][class]; len(refs) == 1 {
		return refs[0], nil
	}
	for _, other := range sortedKeys(p.byName) {
		if refs := p.byName[other][class]; other != kind && len(refs) == 1 {
			return pluginRef{}, config.WrongKind(kind, refs[0].info.Class)
		}
	}
	if variants := p.variants(kind, class); len(variants) > 0 {
		return pluginRef{}, config.AbstractClass(variants...)
	}
	return pluginRef{}, config.ErrNoClass
}

// variants gives the classes that are inner classes of class: ExtractField comes as $Key and $Value.
func (p *Plugins) variants(kind, class string) []string {
	var found []string
	for _, i := range p.infos {
		simple := class[strings.LastIndexByte(class, '.')+1:]
		if i.Type == kind && (strings.HasPrefix(i.Class, class+"$") || class == simple && strings.Contains(i.Class, "."+class+"$")) {
			found = append(found, i.Class)
		}
	}
	return found
}

// isOuter tells whether class is the full name of a class that only has plugins as inner classes; Kafka Connect finds it and
// fails to make one.
func (p *Plugins) isOuter(class string) bool {
	return slices.ContainsFunc(p.infos, func(i PluginInfo) bool { return strings.HasPrefix(i.Class, class+"$") })
}

// lookup is find as config asks for it.
func (p *Plugins) lookup(kind, class string) (*config.Def, error) {
	r, err := p.find(kind, class)
	return r.def, err
}

// classes gives the class names of a kind.
func (p *Plugins) classes(kind string) []string {
	var names []string
	for _, i := range p.infos {
		if i.Type == kind {
			names = append(names, i.Class)
		}
	}
	return names
}

// isSink tells whether there is one sink connector of that name.
func (p *Plugins) isSink(class string) bool { return len(p.byName[kindSink][class]) == 1 }

// sink finds a sink connector by class; the error has Kafka Connect's words.
func (p *Plugins) sink(class string) (connector.Connector, pluginRef, error) {
	refs := p.byName[kindSink][class]
	switch len(refs) {
	case 1:
		return p.list.Sinks[refs[0].at], refs[0], nil
	case 0:
		var known []string
		for _, i := range p.infos {
			if i.Type == kindSink {
				known = append(known, fmt.Sprintf("PluginDesc{klass=class %s, name='%s', version='%s', type=sink}", i.Class, i.Class, i.Version))
			}
		}
		return nil, pluginRef{}, fmt.Errorf("Failed to find any class that implements Connector and which name matches %s, available connectors are: %s", //nolint:staticcheck // Kafka's words
			class, strings.Join(known, ", "))
	}
	var found []string
	for _, r := range refs {
		found = append(found, r.info.Class)
	}
	return nil, pluginRef{}, fmt.Errorf("More than one connector matches alias %s. Please use full package and class name instead. Classes found: %s", //nolint:staticcheck // Kafka's words
		class, strings.Join(found, ", "))
}

// hostDef is the definition of everything that a sink's configuration may hold.
func (p *Plugins) hostDef(r pluginRef) *config.Def {
	d := config.ForSink(r.def, p.lookup, p.classes)
	if !strings.HasPrefix(r.info.Class, "org.apache.kafka.") {
		return d
	}
	// Clients compare what Kafka's own classes define with what they know, so the host's keys stay
	// unlisted there. They are accepted and checked all the same.
	for _, k := range config.DeliveryDef().Keys() {
		d = d.Change(k.Name, func(k *config.Key) { k.Internal = true })
	}
	return d
}

// taskClass is the class of a connector's tasks as Kafka Connect would call it.
func taskClass(class string) string { return strings.TrimSuffix(class, "Connector") + "Task" }

// checkVersion refuses a plugin version that the one there is does not match: "1.2" means exactly
// that, "[1.0,2.0)" a range in Maven's words (KIP-891); "" and "latest" mean any.
func checkVersion(r pluginRef, want string) error {
	want = config.Trim(want)
	if want == "" || want == "latest" {
		return nil
	}
	rng := want
	if !strings.ContainsAny(want, "[](),") {
		rng = "[" + want + "," + want + "]"
	}
	matches, err := inRanges(r.info.Version, rng)
	if err != nil {
		return err
	}
	if matches {
		return nil
	}
	return fmt.Errorf("Plugin %s not found that matches the version range %s, available versions: [%s]", r.info.Class, rng, r.info.Version) //nolint:staticcheck // Kafka's words
}

// versionRange is one range in Maven's words: [1.0], [1.0,2.0), (,3].
var versionRange = regexp.MustCompile(`^([\[(])\s*([^\[\](),\s]*)\s*(,?)\s*([^\[\](),\s]*)\s*([\])])\s*,?\s*`)

// inRanges tells whether a version lies in one of the ranges that text lists.
func inRanges(version, text string) (bool, error) {
	found := false
	for rest := strings.TrimSpace(text); rest != ""; {
		m := versionRange.FindStringSubmatch(rest)
		if m == nil || m[3] == "" && (m[2] == "" || m[4] != "" || m[1] != "[" || m[5] != "]") {
			return false, fmt.Errorf("%q is no version and no range of versions, such as [1.0,2.0)", text)
		}
		rest = rest[len(m[0]):]
		low, high := m[2], m[4]
		if m[3] == "" {
			high = low
		}
		above := low == "" || compareVersions(version, low) > 0 || m[1] == "[" && compareVersions(version, low) == 0
		beneath := high == "" || compareVersions(version, high) < 0 || m[5] == "]" && compareVersions(version, high) == 0
		found = found || above && beneath
	}
	return found, nil
}

// compareVersions orders dotted versions by their numbers, then by text; a pre-release comes before
// its release.
func compareVersions(a, b string) int {
	coreA, preA, _ := strings.Cut(strings.TrimPrefix(a, "v"), "-")
	coreB, preB, _ := strings.Cut(strings.TrimPrefix(b, "v"), "-")
	as, bs := strings.Split(coreA, "."), strings.Split(coreB, ".")
	for i := range max(len(as), len(bs)) {
		x, y := "0", "0"
		if i < len(as) {
			x = as[i]
		}
		if i < len(bs) {
			y = bs[i]
		}
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return strings.Compare(preA, preB)
}
