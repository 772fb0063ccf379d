package transform

import (
	"fmt"
	"strings"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

const keySyntax = "field.syntax.version"

func syntaxKey() config.Key {
	return config.Key{Name: keySyntax, Default: "V1", Importance: config.High, Validate: config.OneOfFold("V1", "V2"),
		Doc: "Defines the version of the syntax to access fields. V1: the field paths are limited to the root level of the struct or map. " +
			"V2: nested elements are accessed with dotted notation; a name that has dots itself stands between back-ticks, as in `foo.bar`.baz."}
}

// parsePath reads the path of a field in the syntax of that version (KIP-821).
func parsePath(text, version string) ([]string, error) {
	if !strings.EqualFold(version, "V2") {
		return []string{text}, nil
	}
	var steps []string
	rest, at := text, 0
	for {
		step, used, more, err := nextStep(rest, text, at)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		if !more {
			return steps, nil
		}
		rest, at = rest[used:], at+used
	}
}

// nextStep reads the first step of rest, which begins at index at of text, and the dot after it, if
// there is more.
func nextStep(rest, text string, at int) (step string, used int, more bool, err error) {
	if !strings.HasPrefix(rest, "`") {
		step, _, more = strings.Cut(rest, ".")
		return step, len(step) + 1, more, nil
	}
	// A back-tick ends the name only before a dot or at the end, and when no backslash is before it.
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		last := i == len(rest)-1
		if rest[i] != '`' || !last && rest[i+1] != '.' {
			b.WriteByte(rest[i])
			continue
		}
		if !strings.HasSuffix(rest[1:i], `\`) {
			return b.String(), i + 2, !last, nil
		}
		if last {
			break
		}
		unescaped := strings.TrimSuffix(b.String(), `\`)
		b.Reset()
		b.WriteString(unescaped + "`")
	}
	return "", 0, false, message(fmt.Sprintf("Incomplete backtick pair in path: [%s], consider adding a backslash before backtick at position %d to escape it", text, at))
}

// pathRule checks that the key called name holds a path.
func pathRule(name string) func(config.Values) map[string][]string {
	return func(v config.Values) map[string][]string {
		if !v.Valid(name) || !v.Valid(keySyntax) {
			return nil
		}
		if _, err := parsePath(v.String(name), v.String(keySyntax)); err != nil {
			return map[string][]string{name: {err.Error()}}
		}
		return nil
	}
}

// mapAt gives the value at a path of a map without a schema; null where a step is missing.
func mapAt(m *connector.MapValue, path []string) (any, error) {
	for i, step := range path {
		v, _ := get(m, step)
		if i == len(path)-1 || v == nil {
			return v, nil
		}
		inner, ok := v.(*connector.MapValue)
		if !ok {
			return nil, dataError("Only Map objects supported in absence of schema for [nested field access], found: %s", classOf(nil, v))
		}
		m = inner
	}
	return nil, nil
}
