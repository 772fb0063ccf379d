package config

import (
	"regexp"
	"strings"
)

// placeholderPattern matches, in a JSON schema, texts that a config provider will fill.
const placeholderPattern = `\$\{[^}]*:[^}]*\}`

// JSONSchema gives a JSON Schema (draft 2020-12) of a configuration as an object. Values may be
// texts, as on the wire, or of their natural type; a text with a placeholder passes everywhere.
// Keys with an alias placeholder in the name (domain.<domain>.topics, see Def.For) become
// patterns. Unknown keys are allowed, as they are in a configuration.
func JSONSchema(d *Def) map[string]any {
	properties, patterns := map[string]any{}, map[string]any{}
	required := []any{}
	for _, k := range d.Keys() {
		switch {
		case k.Internal:
			continue
		case strings.Contains(k.Name, "<"):
			patterns[aliasPattern(k.Name)] = k.schema()
			continue
		case k.Required:
			required = append(required, k.Name)
		}
		properties[k.Name] = k.schema()
	}
	schema := map[string]any{
		"$schema":    "https://json-schema.org/draft/2020-12/schema",
		"type":       "object",
		"properties": properties,
	}
	if len(patterns) > 0 {
		schema["patternProperties"] = patterns
	}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

var aliasName = regexp.MustCompile(`<[^>]*>`)

func aliasPattern(name string) string {
	parts := aliasName.Split(name, -1)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return "^" + strings.Join(parts, `[^.]+`) + "$"
}

func (k Key) schema() map[string]any {
	s := map[string]any{"title": k.Name}
	if k.DisplayName != "" {
		s["title"] = k.DisplayName
	}
	if k.Doc != "" {
		s["description"] = k.Doc
	}
	if k.Default != nil && k.Type != Password {
		s["default"] = natural(k.Default)
	}
	switch k.Type {
	case Boolean:
		s["type"] = []any{"boolean", "string"}
		s["pattern"] = textPattern(`[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]`)
	case Int, Short, Long:
		s["type"] = []any{"integer", "string"}
		s["pattern"] = textPattern(`[+-]?[0-9]+`)
	case Double:
		s["type"] = []any{"number", "string"}
	default:
		s["type"] = "string"
	}
	limit(s, k.Validate)
	return s
}

// natural gives a default as JSON holds it: lists are texts.
func natural(v any) any {
	if items, ok := v.([]string); ok {
		return strings.Join(items, ",")
	}
	return v
}

// limit adds what a schema can say of a validator.
func limit(s map[string]any, v Validator) {
	switch v := inner(v).(type) {
	case all:
		for _, one := range v {
			limit(s, one)
		}
	case numRange:
		s["minimum"] = v.min
		if v.max != nil {
			s["maximum"] = v.max
		}
	case oneOf:
		s["pattern"] = textPattern(alternatives(v))
	case rule:
		if v == NonEmptyString || v == NoControlChars || v == NonEmptyList {
			s["pattern"] = `\S`
		}
	}
}

func alternatives(o oneOf) string {
	texts := make([]string, len(o.texts))
	for i, text := range o.texts {
		texts[i] = regexp.QuoteMeta(text)
		if o.fold {
			texts[i] = foldPattern(text)
		}
	}
	return strings.Join(texts, "|")
}

// foldPattern matches a text in any case; JSON Schema's patterns have no flags.
func foldPattern(text string) string {
	var b strings.Builder
	for _, r := range text {
		lower, upper := strings.ToLower(string(r)), strings.ToUpper(string(r))
		if lower == upper {
			b.WriteString(regexp.QuoteMeta(string(r)))
		} else {
			b.WriteString("[" + lower + upper + "]")
		}
	}
	return b.String()
}

func textPattern(pattern string) string {
	return `^\s*(` + pattern + `)\s*$|` + placeholderPattern
}
