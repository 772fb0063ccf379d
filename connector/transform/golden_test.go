package transform

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

// The files of testdata hold one case after the other:
//
//	== a sentence
//	ReplaceField$Value
//	exclude=cpf
//	< value struct{id int32, cpf string?} {"id":1,"cpf":"x"}
//	> value struct{id int32}
//	> json: {"id":1}
//
// After the class come the lines of the configuration, those of the record (<; see record) and those
// of the outcome (>), which -update writes anew.
type goldenCase struct {
	class         string
	config, input []string
}

func goldenCaseOf(t *testing.T, c *convertertest.Case) goldenCase {
	t.Helper()
	if len(c.Config) == 0 {
		t.Fatalf("the case %q names no class", c.Name)
	}
	g := goldenCase{class: c.Config[0], config: c.Config[1:]}
	for _, line := range c.Input {
		g.input = append(g.input, strings.TrimPrefix(line, "< "))
	}
	return g
}

func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	return files
}

func TestRecordsComeOutAsTheFilesSay(t *testing.T) {
	for _, file := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			convertertest.Golden(t, file, func(t *testing.T, c *convertertest.Case) []string {
				g := goldenCaseOf(t, c)
				got := g.outcome(t, false)
				if other := g.outcome(t, true); !slices.Equal(got, other) {
					t.Errorf("materialised: got\n%s\nas wire bytes\n%s", strings.Join(other, "\n"), strings.Join(got, "\n"))
				}
				return got
			})
		})
	}
}

// TestEveryKeyOfEveryTransformOccursInACase holds the claim that the files cover the declarations.
func TestEveryKeyOfEveryTransformOccursInACase(t *testing.T) {
	set := map[string]map[string]bool{} // by class, without its variant
	for _, file := range goldenFiles(t) {
		for _, c := range convertertest.Load(t, file) {
			g := goldenCaseOf(t, &c)
			class, _, _ := strings.Cut(g.class, "$")
			if set[class] == nil {
				set[class] = map[string]bool{}
			}
			for _, line := range g.config {
				key, _, _ := strings.Cut(line, "=")
				set[class][key] = true
			}
		}
	}
	require := func(class string, d *config.Def) {
		name, _, _ := strings.Cut(class[strings.LastIndexByte(class, '.')+1:], "$")
		for _, k := range d.Infos() {
			if !set[name][k.Name] {
				t.Errorf("no case of %s sets %s", name, k.Name)
			}
		}
	}
	for _, p := range Transforms() {
		require(p.Class, p.Config)
	}
	for _, p := range Predicates() {
		require(p.Class, p.Config)
	}
}

func TestEveryErrorTextOfTheTransformsOccursInACase(t *testing.T) {
	convertertest.RequireEveryErrorText(t, map[string]string{
		"Flatten transformation does not support structs nested deeper": "TestAStructThatHoldsItselfIsNotFlattened",
		"Invalid regex: it is null":                                     "TestARegexOfNullIsRefused",
	}, goldenFiles(t)...)
}

// outcome gives the lines that describe what becomes of the case's record.
func (c *goldenCase) outcome(t *testing.T, materialised bool) []string {
	t.Helper()
	raw := map[string]string{}
	for _, line := range c.config {
		key, value, _ := strings.Cut(line, "=")
		raw[key] = value
	}
	r := c.record(t, materialised)
	for _, p := range Predicates() {
		if p.Aliases[0] == c.class {
			v, err := p.Config.Parse(raw)
			if err != nil {
				return refused(err)
			}
			predicate, err := p.New(v)
			if err != nil {
				return refused(err)
			}
			holds, err := predicate.Test(r)
			return []string{fmt.Sprint(holds, errText(err))}
		}
	}
	for _, p := range Transforms() {
		if p.Aliases[0] != c.class {
			continue
		}
		v, err := p.Config.Parse(raw)
		if err != nil {
			return refused(err)
		}
		transform, err := p.New(v)
		if err != nil {
			return refused(err)
		}
		given := *r
		out, err := transform.Apply(r)
		if err != nil {
			if !sameRecord(&given, r) {
				t.Error("the record was changed though the transform failed")
			}
			return append(strings.Split("error"+errText(err), "\n"), causes(err)...)
		}
		return describe(&given, out)
	}
	t.Fatalf("no class %s", c.class)
	return nil
}

func refused(err error) []string {
	return strings.Split("configuration refused: "+err.Error(), "\n")
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	var named interface{ ExceptionClass() string }
	if errors.As(err, &named) {
		return " " + named.ExceptionClass() + ": " + err.Error()
	}
	return ": " + err.Error()
}

// causes gives what an error comes from, where its own text does not tell.
func causes(err error) []string {
	if cause := errors.Unwrap(err); cause != nil && !strings.Contains(err.Error(), cause.Error()) {
		return append([]string{"caused by: " + cause.Error()}, causes(cause)...)
	}
	return nil
}

func sameRecord(a, b *connector.Record) bool {
	same := func(a, b connector.Value) bool {
		return slices.Equal(convertertest.Describe(a), convertertest.Describe(b))
	}
	return a.Topic == b.Topic && same(a.Key, b.Key) && same(a.Value, b.Value) && len(a.Headers) == len(b.Headers)
}

// describe gives what differs from the record given.
func describe(given, r *connector.Record) []string {
	if r == nil {
		return []string{"filtered"}
	}
	var out []string
	if r.Topic != given.Topic {
		out = append(out, "topic "+r.Topic)
	}
	part := func(name string, was, is connector.Value) {
		if lines := convertertest.Describe(is); !slices.Equal(lines, convertertest.Describe(was)) {
			out = append(out, name+" "+lines[0])
			out = append(out, lines[1:]...)
		}
	}
	part("key", given.Key, r.Key)
	part("value", given.Value, r.Value)
	if !slices.EqualFunc(given.Headers, r.Headers, func(a, b connector.Header) bool { return a.Key == b.Key }) {
		for _, h := range r.Headers {
			lines := convertertest.Describe(h.Value)
			out = append(out, "header "+h.Key+" "+strings.Join(lines, "; "))
		}
	}
	if out == nil {
		return []string{"unchanged"}
	}
	return out
}

// record makes the record of a case. Its lines are
//
//	topic, partition, offset, timestamp   followed by the text
//	key, value, header <name>             followed by a schema (see schemaText) and JSON, or JSON alone
func (c *goldenCase) record(t *testing.T, materialised bool) *connector.Record {
	t.Helper()
	r := &connector.Record{Topic: "topic", Origin: connector.Origin{Topic: "topic", Offset: 7}}
	for _, line := range c.input {
		what, text, _ := strings.Cut(line, " ")
		var err error
		switch what {
		case "topic":
			r.Topic = text
		case "partition":
			var n int
			n, err = strconv.Atoi(text)
			r.Partition = int32(n)
		case "offset":
			r.Origin.Offset, err = strconv.ParseInt(text, 10, 64)
		case "timestamp":
			r.Timestamp, err = time.Parse(time.RFC3339Nano, text)
		case "key":
			r.Key = value(t, text, materialised)
		case "value":
			r.Value = value(t, text, materialised)
		case "header":
			name, text, _ := strings.Cut(text, " ")
			r.Headers = append(r.Headers, connector.Header{Key: name, Value: value(t, text, materialised)})
		default:
			t.Fatalf("unknown line of a record: %s", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}
