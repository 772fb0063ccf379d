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
// "<null" is null, "<header <name> " takes the hexadecimal digits of a header, "<schema " is for the test that runs the
// file), those with ">" what came out. With the flag -update they are written anew.
package convertertest

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

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
	Golden(t, file, func(t *testing.T, c *Case) []string {
		got := Outcome(t, p, c, roles[0], nil)
		for _, role := range roles[1:] {
			if other := Outcome(t, p, c, role, nil); !slices.Equal(got, other) {
				t.Errorf("as a %s converter: got\n%s\nas a %s converter\n%s", role, strings.Join(other, "\n"), roles[0], strings.Join(got, "\n"))
			}
		}
		return got
	})
}

// Names are what a golden file writes for what differs from run to run, such as "http://registry" for the URL of a
// server of the test.
type Names map[string]string

// replace puts real things in the place of names, or back; the longest first, since one may begin like another.
func (n Names) replace(text string, back bool) string {
	pairs := make([][2]string, 0, len(n))
	for name, real := range n {
		pair := [2]string{name, real}
		if back {
			pair = [2]string{real, name}
		}
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(len(b[0]), len(a[0])), strings.Compare(a[0], b[0]))
	})
	for _, pair := range pairs {
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// data gives the bytes of the input.
func (c *Case) data(t *testing.T) []byte {
	t.Helper()
	data, first := []byte{}, true
	for _, line := range c.Input {
		if line == "<null" {
			return nil
		}
		if strings.HasPrefix(line, "<header ") || strings.HasPrefix(line, "<schema ") {
			continue
		}
		if digits, ok := strings.CutPrefix(line, "<hex "); ok {
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, b...)
			continue
		}
		if !first {
			data = append(data, '\n')
		}
		first = false
		data = append(data, strings.TrimPrefix(line[1:], " ")...)
	}
	return data
}

// headers gives the headers of the record.
func (c *Case) headers(t *testing.T) []connector.RawHeader {
	t.Helper()
	var headers []connector.RawHeader
	for _, line := range c.Input {
		if rest, ok := strings.CutPrefix(line, "<header "); ok {
			name, digits, _ := strings.Cut(rest, " ")
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			headers = append(headers, connector.RawHeader{Key: name, Value: b})
		}
	}
	return headers
}

// Outcome gives the lines that describe what the plugin's converter of one role makes of the case.
func Outcome(t *testing.T, p connector.ConverterPlugin, c *Case, role Role, names Names) []string {
	t.Helper()
	raw := map[string]string{"converter.type": string(role)}
	for _, line := range c.Config {
		key, value, _ := strings.Cut(line, "=")
		raw[key] = names.replace(value, false)
	}
	out := func() []string {
		values, err := p.Config.Parse(raw)
		if err != nil {
			return lines("configuration refused: " + err.Error())
		}
		v, err := convert(t, p, values, role, c)
		if err != nil {
			return DescribeError(err)
		}
		return Describe(v)
	}()
	return lines(names.replace(strings.Join(out, "\n"), true))
}

func convert(t *testing.T, p connector.ConverterPlugin, cfg config.Values, role Role, c *Case) (connector.Value, error) {
	t.Helper()
	if role == Header {
		h, err := p.NewHeader(cfg)
		if err != nil {
			return connector.Value{}, err
		}
		return h.ConvertHeader("topic", "header", c.data(t))
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
	return conv.Convert(t.Context(), "topic", c.headers(t), c.data(t))
}

// DescribeError gives the error and its causes, each once.
func DescribeError(err error) []string {
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
		for _, c := range Load(t, file) {
			for _, line := range c.Config {
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
