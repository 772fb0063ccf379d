// Package convertertest runs golden files of converters: text files of cases, each a sentence, a
// configuration, an input and the value or error that comes out.
//
// A file looks like this; blank lines separate cases:
//
//	== a number below zero
//	schemas.enable=false
//	< -12
//	> no schema
//	> json: -12
//
// Lines that begin with "<" are the input (joined by line feeds; "<hex " takes hexadecimal digits,
// "<null" alone is null), those with ">" what came out. With the flag -update they are written anew.
package convertertest

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

var update = flag.Bool("update", false, "write golden files anew")

type goldenCase struct {
	name   string
	config []string // lines key=value
	input  []string // lines with their mark
	output []string
}

// Role is what a converter is made for.
type Role string

// The roles, as converter.type names them.
const (
	Key    Role = "key"
	Value  Role = "value"
	Header Role = "header"
)

// Run makes a converter of the plugin for each case of the file, in each of the roles, and compares
// what it gives, which is the same for all of them.
func Run(t *testing.T, p connector.ConverterPlugin, file string, roles ...Role) {
	t.Helper()
	cases := load(t, file)
	for i := range cases {
		c := &cases[i]
		t.Run(c.name, func(t *testing.T) {
			for _, role := range roles {
				got := outcome(t, p, c, role)
				if *update {
					c.output = got
				}
				if !slices.Equal(got, c.output) {
					t.Errorf("as a %s converter: got\n%s\nwant\n%s", role, strings.Join(got, "\n"), strings.Join(c.output, "\n"))
				}
			}
		})
	}
	if *update {
		save(t, file, cases)
	}
}

func load(t *testing.T, file string) []goldenCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	for n, line := range strings.Split(string(text), "\n") {
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, goldenCase{name: name})
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if len(cases) == 0 {
			t.Fatalf("%s:%d: a line before the first case", file, n+1)
		}
		c := &cases[len(cases)-1]
		switch line[0] {
		case '<':
			c.input = append(c.input, line)
		case '>':
			c.output = append(c.output, strings.TrimPrefix(line[1:], " "))
		default:
			c.config = append(c.config, line)
		}
	}
	return cases
}

func save(t *testing.T, file string, cases []goldenCase) {
	t.Helper()
	var b strings.Builder
	for i, c := range cases {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("== " + c.name + "\n")
		for _, line := range append(c.config, c.input...) {
			b.WriteString(line + "\n")
		}
		for _, line := range c.output {
			b.WriteString("> " + line + "\n")
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// data gives the bytes of the input.
func (c *goldenCase) data(t *testing.T) []byte {
	t.Helper()
	if len(c.input) == 1 && c.input[0] == "<null" {
		return nil
	}
	data := []byte{}
	for i, line := range c.input {
		if digits, ok := strings.CutPrefix(line, "<hex "); ok {
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, b...)
			continue
		}
		if i > 0 {
			data = append(data, '\n')
		}
		data = append(data, strings.TrimPrefix(line[1:], " ")...)
	}
	return data
}

// outcome gives the lines that describe what the converter of one role makes of the case.
func outcome(t *testing.T, p connector.ConverterPlugin, c *goldenCase, role Role) []string {
	t.Helper()
	raw := map[string]string{"converter.type": string(role)}
	for _, line := range c.config {
		key, value, _ := strings.Cut(line, "=")
		raw[key] = value
	}
	values, err := p.Config.Parse(raw)
	if err != nil {
		return lines("configuration refused: " + err.Error())
	}
	v, err := convert(t, p, values, role, c.data(t))
	if err != nil {
		return describeError(err)
	}
	return Describe(v)
}

func convert(t *testing.T, p connector.ConverterPlugin, cfg config.Values, role Role, data []byte) (connector.Value, error) {
	t.Helper()
	if role == Header {
		h, err := p.NewHeader(cfg)
		if err != nil {
			return connector.Value{}, err
		}
		return h.ConvertHeader("topic", "header", data)
	}
	conv, err := p.New(cfg, role == Key)
	if err != nil {
		return connector.Value{}, err
	}
	defer func() {
		if err := conv.Close(); err != nil {
			t.Error(err)
		}
	}()
	return conv.Convert(t.Context(), "topic", nil, data)
}

// describeError gives the error and its causes, each once.
func describeError(err error) []string {
	class, _ := connector.Classify(err)
	out := lines(fmt.Sprintf("error, class %d: %v", class, err))
	last := err.Error()
	for err = errors.Unwrap(err); err != nil; err = errors.Unwrap(err) {
		if err.Error() != last {
			last = err.Error()
			out = append(out, lines("caused by: "+last)...)
		}
	}
	return out
}

func lines(text string) []string { return strings.Split(text, "\n") }

// RequireEveryKey fails for each key that a definition declares and no case of the files sets: so a key that is added
// without a case shows.
func RequireEveryKey(t *testing.T, d *config.Def, files ...string) {
	t.Helper()
	set := map[string]bool{"converter.type": true} // the host's
	for _, file := range files {
		for _, c := range load(t, file) {
			for _, line := range c.config {
				key, _, _ := strings.Cut(line, "=")
				set[key] = true
			}
		}
	}
	for _, k := range d.Infos() {
		if !set[k.Name] {
			t.Errorf("no case of %v sets %s", files, k.Name)
		}
	}
}
