package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stepconnect/stepconnect/connector/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", name, diff)
	}
}

// documented is a definition with every shape that the documents show.
func documented() *config.Def {
	return config.SinkConnectorDef().With(config.New(
		config.Key{Name: "ratio", Type: config.Double, Default: 0.5, Validate: config.Between(0.0, 1.0), Doc: "One | two\nthree <four>.", Importance: config.Low},
		config.Key{Name: "mode", Default: "A|B", Validate: config.OneOfFold("A|B", "c.d")},
		config.Key{Name: "secret", Type: config.Password, Default: "x"},
		config.Key{Name: "hidden.away", Internal: true},
	)).With(domains()).For(map[string]string{"domains": "<domain>"})
}

func TestMarkdownTablesEveryListedKey(t *testing.T) {
	var b bytes.Buffer
	if err := config.Markdown(&b, "Sink connectors", documented()); err != nil {
		t.Fatal(err)
	}
	golden(t, "markdown.golden.md", b.Bytes())
}

func TestJSONSchemaAcceptsWhatParseAcceptsAndSaysWhatItRefuses(t *testing.T) {
	b, err := json.MarshalIndent(config.JSONSchema(documented()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.golden.json", append(b, '\n'))

	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		entry string
		valid bool
	}{
		{`"tasks.max": 3`, true},
		{`"tasks.max": "3"`, true},
		{`"tasks.max": "${env:TASKS}"`, true},
		{`"tasks.max": 0`, false},
		{`"tasks.max": "many"`, false},
		{`"tasks.max": 1.5`, false},
		{`"errors.log.enable": true`, true},
		{`"errors.log.enable": "TRUE"`, true},
		{`"errors.log.enable": "maybe"`, false},
		{`"errors.tolerance": "all"`, true},
		{`"errors.tolerance": "ALL"`, false},
		{`"errors.tolerance": "${file:/x:y}"`, true},
		{`"mode": "C.D"`, true},
		{`"mode": "cxd"`, false},
		{`"ratio": 0.25`, true},
		{`"ratio": 2`, false},
		{`"domain.x.arn": ""`, false},
		{`"domain.x.arn": "arn"`, true},
		{`"topics": ["a"]`, false},
		{`"unknown": {"a": 1}`, true},
	} {
		t.Run(one.entry, func(t *testing.T) {
			text := `{"name":"c","connector.class":"X","domains":"x",` + one.entry + `}`
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(instance); (err == nil) != one.valid {
				t.Errorf("valid is %v, want %v: %v", err == nil, one.valid, err)
			}
		})
	}
	missing, _ := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(`{"name":"c","domains":""}`)))
	if schema.Validate(missing) == nil {
		t.Error("a configuration without connector.class is valid")
	}
}

func TestJSONSchemaHoldsNoSecretDefault(t *testing.T) {
	b, err := json.Marshal(config.JSONSchema(config.New(config.Key{Name: "pw", Type: config.Password, Default: geheim})))
	if err != nil || bytes.Contains(b, []byte(geheim)) {
		t.Errorf("error %v, schema %s", err, b)
	}
}

func BenchmarkParseSinkConnector(b *testing.B) {
	def := fileStreamSink()
	raw := with("transforms", "m", "transforms.m.type", "MaskField$Value", "transforms.m.fields", "a", "file", "x")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := def.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
