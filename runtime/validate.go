package runtime

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stepconnect/stepconnect/connector/config"
)

// Validate judges a configuration as PUT /connector-plugins/{p}/config/validate does: an answer even when it
// has errors. A key whose value is [hidden] counts as what the connector of that name has stored.
func (h *Herder) Validate(ctx context.Context, plugin string, cfg map[string]*string) (Validation, error) {
	class := cfg["connector.class"]
	if class != nil && !strings.HasSuffix(normalizedClass(*class), normalizedClass(plugin)) {
		return Validation{}, BadRequest("Included connector type %s does not match request type %s", *class, plugin)
	}
	stored := h.view.get().Connectors[textOf(cfg, "name")].Config
	kept, unknown := h.keepHidden(cfg, stored)
	v, err := h.validate(ctx, kept, unknown)
	if none, ok := errors.AsType[*mistake](err); ok && (class != nil || h.opts.Plugins.isSink(plugin)) {
		// Its 400 gets lost in Connect, on the way out of the validation's own thread.
		err = &mistake{Internal("%s", none.refused.Message)}
	}
	return v, err
}

// validate runs the steps of Kafka Connect's AbstractHerder.validateConnectorConfig: placeholders, class, the
// host's and the connector's keys, converters, client overrides. Keys in lost are [hidden] with nothing
// stored.
func (h *Herder) validate(ctx context.Context, cfg map[string]*string, lost []string) (Validation, error) {
	resolved, err := h.opts.Providers.Resolve(ctx, cfg)
	if err != nil {
		return Validation{}, BadRequest("%v", err)
	}
	class, ok := resolved["connector.class"]
	if !ok || class == nil {
		return Validation{}, &mistake{BadRequest("Connector config %s contains no connector type", h.javaMap(cfg))}
	}
	_, r, err := h.opts.Plugins.sink(*class) // not trimmed, as in Connect
	if err != nil {
		return Validation{}, &mistake{BadRequest("%v", err)}
	}
	if err := checkVersion(r, textOf(resolved, "connector.plugin.version")); err != nil {
		return Validation{}, BadRequest("%v", err)
	}
	answer := h.validationDef(r).Validate(resolved)
	for _, wrong := range h.wrongVersions(resolved) {
		answer = addError(answer, wrong.key, config.Invalid(wrong.key, textOf(resolved, wrong.key), wrong.err.Error()).Error())
	}
	for _, role := range []string{"key", "value", "header"} {
		key := role + ".converter"
		if class := textOf(resolved, key); class != config.Trim(class) && !hasErrors(answer, key) {
			answer = addError(answer, key, "Failed to load class "+class+": "+class) // the one class that Connect does not trim twice
		}
	}
	for _, k := range lost {
		answer = addError(answer, k, "Invalid value "+config.Hidden+" for configuration "+k+": it stands for a hidden value, and nothing is stored under this key; give the value itself")
	}
	v := Validation{Name: *class, ErrorCount: len(config.Messages(answer)), Groups: config.Groups(answer)}
	var later []config.KeyValue // of which keys with errors count, not errors
	for _, role := range []string{"key", "value", "header"} {
		later = append(later, h.validateConverter(role, resolved, answer)...)
	}
	later = append(later, h.validateOverrides(resolved)...)
	for _, kv := range later {
		if len(kv.Value.Errors) > 0 {
			v.ErrorCount++
		}
	}
	v.Configs = withPlaceholders(slices.Concat(answer, later), cfg, resolved)
	for _, g := range config.Groups(later) {
		if !slices.Contains(v.Groups, g) {
			v.Groups = append(v.Groups, g)
		}
	}
	return v, nil
}

// wrongVersion is a *.plugin.version that the plugin there is does not match.
type wrongVersion struct {
	key string
	err error
}

// wrongVersions judges the versions that a configuration wants of its converters, transforms and predicates (KIP-891). A
// class that there is not is refused elsewhere.
func (h *Herder) wrongVersions(cfg map[string]*string) []wrongVersion {
	var found []wrongVersion
	check := func(kind, classKey, versionKey string) {
		version := config.Trim(textOf(cfg, versionKey))
		r, err := h.opts.Plugins.find(kind, config.Trim(textOf(cfg, classKey)))
		if version == "" || err != nil {
			return
		}
		if err := checkVersion(r, version); err != nil {
			found = append(found, wrongVersion{versionKey, err})
		}
	}
	for _, role := range []string{"key", "value", "header"} {
		kind := config.KindConverter
		if role == "header" {
			kind = config.KindHeaderConverter
		}
		check(kind, role+".converter", role+".converter.plugin.version")
	}
	for list, kind := range map[string]string{"transforms": config.KindTransformation, "predicates": config.KindPredicate} {
		for _, alias := range config.SplitList(textOf(cfg, list)) {
			prefix := list + "." + alias + "."
			check(kind, prefix+"type", prefix+"plugin.version")
		}
	}
	slices.SortFunc(found, func(a, b wrongVersion) int { return strings.Compare(a.key, b.key) })
	return found
}

// Check judges a connector's file without writing anything; it needs no running herder. The error is nil or a
// *FileError with every mistake and its line.
func (h *Herder) Check(ctx context.Context, f *ConnectorFile) error {
	cfg, err := named(config.Trim(f.Request.Name), f.Request.Config)
	if err == nil {
		_, err = initialTarget(f.Request.InitialState)
	}
	if err != nil {
		return f.Explain(err)
	}
	kept, lost := h.keepHidden(cfg, nil)
	v, err := h.validate(ctx, kept, lost)
	if err != nil {
		return f.Explain(err)
	}
	fe := &FileError{Path: f.Path}
	for _, kv := range v.Configs {
		for _, text := range kv.Value.Errors {
			fe.Problems = append(fe.Problems, Problem{f.lines[kv.Value.Name], text})
		}
	}
	if len(fe.Problems) == 0 {
		return nil
	}
	slices.SortStableFunc(fe.Problems, func(a, b Problem) int { return a.Line - b.Line })
	return fe
}

// validationDef is the definition of a sink's configuration with what this worker gives by default.
func (h *Herder) validationDef(r pluginRef) *config.Def {
	d := h.opts.Plugins.hostDef(r)
	for _, role := range []string{"key", "value", "header"} {
		kind := config.KindConverter
		if role == "header" {
			kind = config.KindHeaderConverter
		}
		class := h.opts.Config.Values.Class(role + ".converter")
		c, err := h.opts.Plugins.find(kind, class)
		if err != nil {
			continue
		}
		d = d.Change(role+".converter", func(k *config.Key) { k.Default = c.info.Class })
		if c.info.Version != "" {
			d = d.Change(role+".converter.plugin.version", func(k *config.Key) { k.Default = c.info.Version })
		}
	}
	if h.opts.Config.Distributed {
		d = d.Cross(config.GroupConflict(h.opts.Config.Values.String("group.id")))
	}
	return d
}

// addError adds an error to the entry of a key, which it makes if nobody declares the key.
func addError(answer []config.KeyValue, key, text string) []config.KeyValue {
	for i := range answer {
		if answer[i].Value.Name == key {
			answer[i].Value.Errors = append(answer[i].Value.Errors, text)
			return answer
		}
	}
	hidden := config.Hidden
	return append(answer, config.KeyValue{Value: config.ValueInfo{
		Name: key, Value: &hidden, Recommended: []string{}, Errors: []string{text}, Visible: true}})
}

func hasErrors(answer []config.KeyValue, key string) bool {
	return slices.ContainsFunc(answer, func(kv config.KeyValue) bool { return kv.Value.Name == key && len(kv.Value.Errors) > 0 })
}

// validateConverter judges the keys of a converter that the connector itself names.
func (h *Herder) validateConverter(role string, cfg map[string]*string, answer []config.KeyValue) []config.KeyValue {
	class := config.Trim(textOf(cfg, role+".converter"))
	kind := config.KindConverter
	if role == "header" {
		kind = config.KindHeaderConverter
	}
	c, err := h.opts.Plugins.find(kind, class)
	if class == "" || err != nil {
		return nil // inherited, or refused already
	}
	prefix := role + ".converter."
	given := maps.Clone(cfg)
	given[prefix+"converter.type"] = &role
	return slices.DeleteFunc(c.def.ValidateUnder(prefix, given), func(kv config.KeyValue) bool {
		return slices.ContainsFunc(answer, func(a config.KeyValue) bool { return a.Value.Name == kv.Value.Name })
	})
}

// validateOverrides applies connector.client.config.override.policy: to the consumer always, to the
// producer and the admin client where there is a dead letter queue.
func (h *Herder) validateOverrides(cfg map[string]*string) []config.KeyValue {
	name, _ := policyName(h.opts.Config.Values.String("connector.client.config.override.policy"))
	if name == policyAll {
		return nil
	}
	clients := []string{"consumer.override."}
	if config.Trim(textOf(cfg, "errors.deadletterqueue.topic.name")) != "" {
		clients = append(clients, "producer.override.", "admin.override.")
	}
	var found []config.KeyValue
	for _, prefix := range clients {
		for _, k := range sortedKeys(cfg) {
			property, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			value := config.ValueInfo{Name: k, Value: cfg[k], Recommended: []string{}, Errors: []string{}, Visible: true}
			if cfg[k] != nil {
				shown := config.Hide(map[string]string{k: *cfg[k]}, nil)[k]
				value.Value = &shown
			}
			if !h.mayOverride(name, property) {
				value.Errors = append(value.Errors, "The '"+name+"' policy does not allow '"+property+"' to be overridden in the connector configuration.")
			}
			found = append(found, config.KeyValue{Value: value})
		}
	}
	return found
}

func (h *Herder) mayOverride(policy, property string) bool {
	switch policy {
	case policyPrincipal:
		return property == "sasl.jaas.config" || property == "sasl.mechanism" || property == "security.protocol"
	case policyAllowlist:
		return slices.Contains(h.opts.Config.Values.List("connector.client.config.override.allowlist"), property)
	}
	return false
}

// withPlaceholders puts placeholders back where they were resolved: a value that a config provider gave is never
// in an answer.
func withPlaceholders(answer []config.KeyValue, cfg, resolved map[string]*string) []config.KeyValue {
	for i := range answer {
		v := &answer[i].Value
		given, used := cfg[v.Name], resolved[v.Name]
		if given == nil || used == nil || *given == *used {
			continue
		}
		v.Value = given
		for j := range v.Errors {
			v.Errors[j] = strings.ReplaceAll(v.Errors[j], *used, *given)
			v.Errors[j] = strings.ReplaceAll(v.Errors[j], config.Trim(*used), *given)
		}
	}
	return answer
}

// javaMap prints a configuration as Java prints a map, secrets hidden.
func (h *Herder) javaMap(cfg map[string]*string) string {
	shown := h.shown(cfg)
	var pairs []string
	for _, k := range sortedKeys(shown) {
		v := "null"
		if shown[k] != nil {
			v = *shown[k]
		}
		pairs = append(pairs, k+"="+v)
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}
