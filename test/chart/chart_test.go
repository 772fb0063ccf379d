// Package chart tests the Helm chart as far as that goes without Helm; make chart renders it and does the rest.
package chart

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stepconnect/stepconnect/runtime"
	"github.com/stepconnect/stepconnect/runtime/kafka"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write the table of values in the chart's README anew")

const dir = "../../charts/stepconnect"

// property is what the schema says of one value.
type property struct {
	Description string               `json:"description"`
	Properties  map[string]*property `json:"properties"`
}

func TestEveryValueHasASentenceInTheSchemaAndARowInTheReadme(t *testing.T) {
	var schema property
	if err := json.Unmarshal(read(t, dir+"/values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	var values yaml.Node
	if err := yaml.Unmarshal(read(t, dir+"/values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| Value | Default | Description |\n|---|---|---|\n")
	rows(t, &table, "", values.Content[0], &schema)

	const begin, end = "<!-- values -->\n", "<!-- end of values -->"
	readme := string(read(t, dir+"/README.md"))
	before, rest, found := strings.Cut(readme, begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !found || !foundEnd {
		t.Fatalf("README.md has no %q and %q", begin, end)
	}
	want := before + begin + table.String() + end + after
	if *update {
		if err := os.WriteFile(dir+"/README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if readme != want {
		t.Error("the table in charts/stepconnect/README.md is not that of values.yaml; run go test ./test/chart -update")
	}
}

// rows writes a row for each value below node and looks that the schema knows the same ones.
func rows(t *testing.T, table *strings.Builder, prefix string, node *yaml.Node, schema *property) {
	known := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		known[key] = true
		p := schema.Properties[key]
		if p == nil {
			t.Errorf("%s%s is in values.yaml and not in values.schema.json", prefix, key)
			continue
		}
		if !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s%s: its description %q is no sentence", prefix, key, p.Description)
		}
		if len(p.Properties) > 0 {
			rows(t, table, prefix+key+".", value, p)
			continue
		}
		var v any
		if err := value.Decode(&v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(table, "| `%s%s` | `%s` | %s |\n", prefix, key, text, strings.ReplaceAll(p.Description, "|", "\\|"))
	}
	for key := range schema.Properties {
		if !known[key] && key != "global" {
			t.Errorf("%s%s is in values.schema.json and not in values.yaml", prefix, key)
		}
	}
}

func TestTheDefaultsAndTheOptionSetsPassTheSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(dir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	sets, err := filepath.Glob(dir + "/ci/*-values.yaml")
	if err != nil || len(sets) == 0 {
		t.Fatalf("no option sets (%v)", err)
	}
	for _, file := range append(sets, dir+"/values.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal(read(t, file), &v); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(instance); err != nil {
				t.Error(err)
			}
		})
	}
}

// object is what these tests look at in a rendered object.
type object struct {
	Kind string            `yaml:"kind"`
	Data map[string]string `yaml:"data"`
}

var secretRef = regexp.MustCompile(`\$\{dir:(/etc/stepconnect/[^:}]+):([^}]+)\}`)

func TestAWorkerTakesThePropertiesThatTheChartRenders(t *testing.T) {
	t.Setenv("POD_NAME", "stepconnect-0")
	t.Setenv("POD_ZONE", "sa-east-1b")
	renders, err := filepath.Glob("golden/*.yaml")
	if err != nil || len(renders) == 0 {
		t.Fatalf("no golden renders (%v)", err)
	}
	for _, file := range renders {
		t.Run(filepath.Base(file), func(t *testing.T) {
			mounts := t.TempDir()
			text := string(properties(t, file))
			for _, ref := range secretRef.FindAllStringSubmatch(text, -1) {
				folder := filepath.Join(mounts, ref[1])
				if err := os.MkdirAll(folder, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, ref[2]), []byte(secret(ref[2])), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(mounts, "worker.properties")
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/etc/stepconnect/", mounts+"/etc/stepconnect/")), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, _, err := runtime.LoadWorkerConfig(t.Context(), path, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := cfg.AdvertisedURL(nil), "http://stepconnect-0.stepconnect-headless.streaming.svc:8083"; got != want {
				t.Errorf("advertised URL %s, want %s", got, want)
			}
			for key, value := range cfg.Raw {
				if strings.Contains(value, "${") {
					t.Errorf("%s=%s is not resolved", key, value)
				}
			}
			if _, err := kafka.Translate(cfg.ClientProperties()); err != nil {
				t.Error(err)
			}
		})
	}
}

// secret is what a Secret could hold under key.
func secret(key string) string {
	if strings.HasPrefix(key, "tls.") {
		return "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	}
	return "of-the-secret"
}

// properties is the worker's configuration in a render.
func properties(t *testing.T, file string) []byte {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(read(t, file)))
	for {
		var o object
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%s: no ConfigMap with worker.properties: %v", file, err)
		}
		if p := o.Data["worker.properties"]; o.Kind == "ConfigMap" && p != "" {
			return []byte(p)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
