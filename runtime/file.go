package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/magiconair/properties"
	"github.com/stepconnect/stepconnect/connector/config"
)

// FileError is everything that is wrong with a configuration file.
type FileError struct {
	Path     string
	Problems []Problem
}

// Problem is one mistake in a file. Line counts from 1; 0 when it is about no line, such as a key
// that is missing. The text names the key.
type Problem struct {
	Line int
	Text string
}

// Error gives one line for each problem, path:line: text.
func (e *FileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		at := e.Path
		if p.Line > 0 {
			at += ":" + strconv.Itoa(p.Line)
		}
		lines[i] = at + ": " + p.Text
	}
	return strings.Join(lines, "\n")
}

// PropertiesFile is a Java .properties file: the keys, and where they stand.
type PropertiesFile struct {
	Path   string
	Values map[string]string
	lines  map[string]int
}

// Explain turns a *config.Errors about the file's keys into a *FileError that names their lines. Other
// errors become one problem; nil stays nil.
func (f *PropertiesFile) Explain(err error) error { return explain(f.Path, f.lines, err) }

func explain(path string, lines map[string]int, err error) error {
	if err == nil {
		return nil
	}
	fe := &FileError{Path: path, Problems: problems(lines, err)}
	slices.SortStableFunc(fe.Problems, func(a, b Problem) int { return a.Line - b.Line })
	return fe
}

// problems takes an error apart: joined ones, and the keys of a *config.Errors.
func problems(lines map[string]int, err error) []Problem {
	var found []Problem
	switch e := err.(type) { //nolint:errorlint // only the outermost is a list
	case *config.Errors:
		for _, k := range e.All() {
			found = append(found, Problem{lines[k.Key], k.Message})
		}
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			found = append(found, problems(lines, one)...)
		}
	default:
		found = append(found, Problem{Text: err.Error()})
	}
	return found
}

// LoadProperties reads a Java .properties file; of a key that occurs twice the last value counts. ${…} is
// left as it is: it belongs to config providers. Java reads such files as ISO-8859-1; since people
// write UTF-8, a file that is valid UTF-8 is read as that. The error is a *FileError with all
// mistakes, or one of the file system.
func LoadProperties(path string) (*PropertiesFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseProperties(path, b)
}

func parseProperties(path string, b []byte) (*PropertiesFile, error) {
	loader := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
	if utf8.Valid(b) {
		loader.Encoding = properties.UTF8
	}
	f := &PropertiesFile{Path: path, Values: map[string]string{}, lines: map[string]int{}}
	var problems []Problem
	// Line by line, since the library tells neither where a key stands nor more than one mistake.
	for n, line := range logicalLines(b) {
		p, err := loader.LoadBytes(line)
		if err != nil {
			problems = append(problems, Problem{n, strings.TrimPrefix(err.Error(), "properties: Line 1: ")})
			continue
		}
		for k, v := range p.Map() {
			f.Values[k], f.lines[k] = v, n
		}
	}
	if len(problems) > 0 {
		return nil, &FileError{path, problems}
	}
	return f, nil
}

// logicalLines yields each line with the lines that continue it, and the number of its first one.
// Comments are not continued, whatever they end with.
func logicalLines(b []byte) func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
		b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
		all := bytes.Split(b, []byte("\n"))
		for i := 0; i < len(all); i++ {
			first, line := i, all[i]
			start := bytes.TrimLeft(line, " \t\f")
			if len(start) == 0 || start[0] == '#' || start[0] == '!' {
				continue
			}
			for continues(line) && i+1 < len(all) {
				i++
				line = slices.Concat(line[:len(line)-1], bytes.TrimLeft(all[i], " \t\f"))
			}
			if continues(line) {
				line = line[:len(line)-1]
			}
			if !yield(first+1, line) {
				return
			}
		}
	}
}

// continues tells whether a line ends with an odd number of backslashes.
func continues(line []byte) bool {
	n := len(line) - len(bytes.TrimRight(line, `\`))
	return n%2 == 1
}

// ConnectorFile is a file that defines one connector.
type ConnectorFile struct {
	Path    string
	Request CreateRequest
	lines   map[string]int
}

// Explain is PropertiesFile.Explain for a connector's keys.
func (f *ConnectorFile) Explain(err error) error { return explain(f.Path, f.lines, err) }

// LoadConnectorFile reads a connector from a file as connect-standalone does: a flat JSON object that
// holds "name", the JSON body of POST /connectors (whose unknown fields are ignored), or a
// .properties file. The error is a *FileError, or one of the file system.
func LoadConnectorFile(path string) (*ConnectorFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// Java tries JSON first and takes what is not JSON for properties. A file that begins as an object
	// does can only be meant as JSON, and then its mistake is worth more than the odd properties.
	if trimmed := bytes.TrimSpace(b); len(trimmed) > 0 && trimmed[0] == '{' {
		return parseConnectorJSON(path, b)
	}
	p, err := parseProperties(path, b)
	if err != nil {
		return nil, err
	}
	cfg := make(map[string]*string, len(p.Values))
	for k, v := range p.Values {
		cfg[k] = &v
	}
	return &ConnectorFile{path, CreateRequest{Name: p.Values["name"], Config: cfg}, p.lines}, nil
}

func parseConnectorJSON(path string, b []byte) (*ConnectorFile, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(b, &whole); err != nil {
		line := 0
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line = 1 + bytes.Count(b[:max(0, syntax.Offset-1)], []byte("\n"))
		}
		return nil, &FileError{path, []Problem{{line, err.Error()}}}
	}
	fields := fieldsOf(b, 0)
	name, initial := "", ""
	nested, isRequest := fields["config"]
	if isRequest = isRequest && bytes.HasPrefix(nested.raw, []byte("{")); isRequest {
		name, initial = fields["name"].text(), fields["initial_state"].text()
		fields = fieldsOf(nested.raw, nested.offset)
	}
	f := &ConnectorFile{Path: path, lines: map[string]int{}}
	cfg := map[string]*string{}
	var problems []Problem
	for _, k := range sortedKeys(fields) {
		field := fields[k]
		f.lines[k] = 1 + bytes.Count(b[:field.offset], []byte("\n"))
		v, ok := field.scalar()
		if !ok {
			problems = append(problems, Problem{f.lines[k], fmt.Sprintf("the value of %q must be a string, a number, a boolean or null", k)})
		}
		cfg[k] = v
	}
	if v := cfg["name"]; v != nil {
		if isRequest && name != "" && name != *v {
			problems = append(problems, Problem{f.lines["name"], "Connector name configuration in 'config' doesn't match the one specified in 'name' at the top level."})
		}
		name = *v
	}
	if len(problems) > 0 {
		return nil, &FileError{path, problems}
	}
	f.Request = CreateRequest{Name: name, Config: cfg, InitialState: initial}
	return f, nil
}

// jsonField is the raw value of a field and where it begins in the file.
type jsonField struct {
	raw    json.RawMessage
	offset int64
}

// scalar gives the text that Kafka Connect makes of a value; nil is a JSON null.
func (f jsonField) scalar() (*string, bool) {
	switch {
	case len(f.raw) == 0 || string(f.raw) == "null":
		return nil, true
	case f.raw[0] == '"':
		s := f.text()
		return &s, true
	case f.raw[0] == '{' || f.raw[0] == '[':
		return nil, false
	}
	s := string(f.raw)
	return &s, true
}

func (f jsonField) text() string {
	var s string
	if json.Unmarshal(f.raw, &s) != nil {
		return ""
	}
	return s
}

// fieldsOf gives the fields of the JSON object b, which stands at base of its file and is known to be sound.
func fieldsOf(b []byte, base int64) map[string]jsonField {
	d := json.NewDecoder(bytes.NewReader(b))
	fields := map[string]jsonField{}
	if _, err := d.Token(); err != nil {
		return fields
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fields
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fields
		}
		if k, ok := key.(string); ok {
			fields[k] = jsonField{raw, base + d.InputOffset() - int64(len(raw))}
		}
	}
	return fields
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
