package kafka

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Result is what Translate made of a set of client properties.
type Result struct {
	// Properties are librdkafka's names and values.
	Properties map[string]string
	// StartAt is auto.offset.reset for SourceConfig.StartAt, "" when it was not set.
	StartAt string
	// MSKIAM says how to get tokens when the properties ask for IAM on Amazon MSK, nil otherwise.
	MSKIAM *MSKIAM
	// Adjusted are properties that were taken with another value, Ignored those without effect
	// here, Unknown those that neither client knows; each sorted by key.
	Adjusted, Ignored, Unknown []Note
}

// Note says what happened to a property and why. It never holds the property's value.
type Note struct{ Key, Reason string }

// Translate turns Kafka client properties as Kafka Connect users write them (Java's names, un-prefixed)
// into librdkafka's. librdkafka's own names are taken as they are, and win over a Java name for the
// same thing. A security property that cannot be honoured is an error with the remedy, never a
// note; the error lists all that are wrong, and no secret.
func Translate(props map[string]string) (Result, error) {
	own := ownNames()
	t := translation{in: make(map[string]string, len(props)), own: own, res: Result{Properties: map[string]string{}}}
	for k, v := range props {
		t.in[k] = strings.TrimSpace(v) // as Java's ConfigDef does
	}
	exact, prefixes := index(javaRules())
	for _, key := range slices.Sorted(maps.Keys(t.in)) {
		r, found := exact[key]
		if i := slices.IndexFunc(prefixes, func(p rule) bool { return strings.HasPrefix(key, strings.TrimSuffix(p.key, "*")) }); !found && i >= 0 {
			r, found = prefixes[i], true
		}
		switch why := forbidden(key); {
		case why != "":
			t.fail(key, why+"; remove it")
		case found:
			t.apply(key, r)
		case own[key]:
			if t.in[key] != "" {
				t.res.Properties[key] = t.in[key]
			}
		case strings.HasPrefix(key, "ssl.") || strings.HasPrefix(key, "sasl.") || strings.HasPrefix(key, "security."):
			if t.in[key] != "" {
				t.fail(key, "this security property is not known here, and cannot be left out unnoticed; remove it or use librdkafka's name for it")
			}
		default:
			t.res.Unknown = append(t.res.Unknown, Note{key, "neither a Kafka Java client nor librdkafka property"})
		}
	}
	t.ssl()
	t.sasl()
	if len(t.errs) > 0 {
		return Result{}, errors.Join(t.errs...)
	}
	for _, notes := range [][]Note{t.res.Adjusted, t.res.Ignored} {
		slices.SortFunc(notes, func(a, b Note) int { return strings.Compare(a.Key, b.Key) })
	}
	return t.res, nil
}

type translation struct {
	in   map[string]string
	own  map[string]bool // ownNames
	res  Result
	errs []error
}

func (t *translation) fail(key, why string) {
	t.errs = append(t.errs, fmt.Errorf("client property %s: %s", key, why))
}

func (t *translation) adjusted(key, why string) {
	t.res.Adjusted = append(t.res.Adjusted, Note{key, why})
}
func (t *translation) ignored(key, why string) {
	t.res.Ignored = append(t.res.Ignored, Note{key, why})
}

// set puts a translated value under librdkafka's name, unless that name was given itself.
func (t *translation) set(key, to, value string) {
	if key != to && t.in[to] != "" && t.own[to] {
		t.ignored(key, to+" is set too, and wins")
		return
	}
	t.res.Properties[to] = value
}

func (t *translation) apply(key string, r rule) {
	value := t.in[key]
	if value == "" && !r.emptyCounts {
		return
	}
	switch r.does {
	case ignores:
		t.ignored(key, r.note)
	case refuses:
		t.fail(key, r.note)
	case renames:
		if r.value != nil {
			translated, note, err := r.value(value)
			if err != nil {
				t.fail(key, err.Error())
				return
			}
			if note != "" {
				t.adjusted(key, note)
			}
			value = translated
		}
		if r.to == startAtKey {
			t.res.StartAt = value
			return
		}
		t.set(key, r.to, value)
	case combines: // by ssl and sasl
	}
}

func index(rules []rule) (exact map[string]rule, prefixes []rule) {
	exact = make(map[string]rule, len(rules))
	for _, r := range rules {
		if strings.HasSuffix(r.key, "*") {
			prefixes = append(prefixes, r)
			continue
		}
		exact[r.key] = r
	}
	return exact, prefixes
}

// within takes whole numbers and moves those outside librdkafka's bounds to the nearest bound.
func within(low, high int64) func(string) (string, string, error) {
	return func(v string) (string, string, error) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return "", "", errors.New("not a whole number")
		}
		if m := min(max(n, low), high); m != n {
			return strconv.FormatInt(m, 10), fmt.Sprintf("taken as %d: librdkafka allows %d to %d", m, low, high), nil
		}
		return strconv.FormatInt(n, 10), "", nil
	}
}

// offWhenNegative is within for properties whose -1 in Java is librdkafka's 0.
func offWhenNegative(high int64) func(string) (string, string, error) {
	return func(v string) (string, string, error) {
		if v == "-1" {
			return "0", "", nil
		}
		return within(0, high)(v)
	}
}

// kibibytes takes bytes.
func kibibytes(v string) (string, string, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return "", "", errors.New("not a whole number")
	}
	return strconv.FormatInt(min(max(n>>10, 1), math.MaxInt32), 10), "", nil
}

func oneOf(allowed ...string) func(string) (string, string, error) {
	return func(v string) (string, string, error) {
		for _, a := range allowed {
			if strings.EqualFold(a, v) {
				return a, "", nil
			}
		}
		return "", "", fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
	}
}

func startAt(v string) (string, string, error) {
	switch strings.ToLower(v) {
	case "earliest", "smallest", "beginning":
		return "earliest", "", nil
	case "latest", "largest", "end":
		return "latest", "", nil
	case "none", "error":
		return "none", "", nil
	}
	return "", "", errors.New("must be earliest, latest or none (by_duration is not supported: set the offsets of the stopped connector instead)")
}

// assignors translates the class names of partition.assignment.strategy.
func assignors(v string) (string, string, error) {
	var names []string
	note := ""
	for class := range strings.SplitSeq(v, ",") {
		class = strings.TrimSpace(class)
		name := ""
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "CooperativeStickyAssignor", "cooperative-sticky":
			name = "cooperative-sticky"
		case "StickyAssignor":
			name, note = "cooperative-sticky", "taken as cooperative-sticky: librdkafka has no eager sticky assignor"
		case "RangeAssignor", "range":
			name = "range"
		case "RoundRobinAssignor", "roundrobin":
			name = "roundrobin"
		default:
			return "", "", errors.New("one of the assignors is not known; use the Range, RoundRobin or CooperativeSticky assignor")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 1 && slices.Contains(names, "cooperative-sticky") {
		return "cooperative-sticky", "taken as cooperative-sticky: librdkafka does not mix cooperative and eager assignors", nil
	}
	return strings.Join(names, ","), note, nil
}

// Markdown writes the table of client properties for the documentation.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("| Java client property | here |\n| --- | --- |\n")
	for _, r := range javaRules() {
		here := ""
		switch r.does {
		case renames:
			switch {
			case r.to == startAtKey:
				here = "where a partition without committed offset starts"
			case r.to == r.key:
				here = "the same"
			default:
				here = "`" + r.to + "`"
			}
			if r.note != "" {
				here += "; " + r.note
			}
		case ignores:
			here = "ignored: " + r.note
		case refuses:
			here = "**refused**: " + r.note
		case combines:
			here = r.note
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.key, strings.ReplaceAll(here, "|", `\|`))
	}
	b.WriteString("\nProperties by librdkafka's own names are taken as they are, and win over a Java name for the same thing, " +
		"except those that load native code. Other `ssl.`, `sasl.` and `security.` properties are an error; all others are warned about by name.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
