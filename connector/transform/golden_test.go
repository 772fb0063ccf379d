package transform

import (
	"errors"
	"flag"
	"fmt"
	"os"
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
	name, class           string
	config, input, output []string
}

func TestRecordsComeOutAsTheFilesSay(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runFile(t, file) })
	}
}

// TestEveryKeyOfEveryTransformOccursInACase holds the claim that the files cover the declarations.
func TestEveryKeyOfEveryTransformOccursInACase(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]map[string]bool{} // by class, without its variant
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range parseCases(t, file, string(text)) {
			class, _, _ := strings.Cut(c.class, "$")
			if set[class] == nil {
				set[class] = map[string]bool{}
			}
			for _, line := range c.config {
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

func runFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cases := parseCases(t, file, string(text))
	update := flag.Lookup("update").Value.String() == "true"
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			for _, form := range []string{"as wire bytes", "materialised"} {
				got := c.outcome(t, form == "materialised")
				if update {
					c.output = got
				}
				if !slices.Equal(got, c.output) {
					t.Errorf("%s: got\n%s\nwant\n%s", form, strings.Join(got, "\n"), strings.Join(c.output, "\n"))
				}
			}
		})
	}
	if update {
		var b strings.Builder
		for i, c := range cases {
			if i > 0 {
				b.WriteString("\n")
			}
			b.WriteString("== " + c.name + "\n" + c.class + "\n")
			for _, line := range slices.Concat(c.config, prefixed("< ", c.input), prefixed("> ", c.output)) {
				b.WriteString(line + "\n")
			}
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func prefixed(prefix string, lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = prefix + line
	}
	return out
}

func parseCases(t *testing.T, file, text string) []goldenCase {
	t.Helper()
	var cases []goldenCase
	for n, line := range strings.Split(text, "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, goldenCase{name: name})
			continue
		}
		if line == "" {
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s:%d: a line before the first case", file, n+1)
		}
		c := &cases[len(cases)-1]
		switch {
		case line[0] == '<':
			c.input = append(c.input, line[2:])
		case line[0] == '>':
			c.output = append(c.output, line[2:])
		case c.class == "":
			c.class = line
		default:
			c.config = append(c.config, line)
		}
	}
	return cases
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
			return strings.Split("error"+errText(err), "\n")
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
