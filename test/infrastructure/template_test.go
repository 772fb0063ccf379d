// Package infrastructure tests configs/cloudformation without an account: the templates are linted, rendered as CloudFormation
// renders them, held against the files that they repeat, and deployed to an emulator with the commands of docs/pipeline.md.
package infrastructure

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/stepconnect/stepconnect/configs"
)

var update = flag.Bool("update", false, "write what the templates repeat of other files anew")

// template is a template, its functions in their long form.
type template struct {
	Description string
	Parameters  map[string]parameter
	Mappings    map[string]map[string]map[string]string
	Conditions  map[string]any
	Resources   map[string]resource
	Outputs     map[string]output
}

type parameter struct {
	Type, Description string
	Default           any
	AllowedValues     []any
	AllowedPattern    string
}

type resource struct {
	Type, Condition, DeletionPolicy string
	Properties                      map[string]any
}

type output struct {
	Value  any
	Export struct{ Name any }
}

// templateNames lists the templates, without .yaml.
func templateNames(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(configs.Files, "cloudformation/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return files
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := configs.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t *testing.T, name string) *template {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text(t, "cloudformation/"+name+".yaml")), &node); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	plain, err := long(node.Content[0])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	b, err := json.Marshal(plain)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var tpl template
	if err := json.Unmarshal(b, &tpl); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return &tpl
}

// long gives a node's value with !Sub and the like as {"Fn::Sub": …}.
func long(n *yaml.Node) (any, error) {
	value, err := plain(n)
	name, ok := strings.CutPrefix(n.Tag, "!")
	if err != nil || !ok || strings.HasPrefix(name, "!") {
		return value, err
	}
	switch name {
	case "Ref", "Condition":
		return map[string]any{name: value}, nil
	case "GetAtt":
		if s, ok := value.(string); ok {
			head, attribute, _ := strings.Cut(s, ".")
			value = []any{head, attribute}
		}
	}
	return map[string]any{"Fn::" + name: value}, nil
}

func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := long(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			if _, ok := out[n.Content[i].Value]; ok {
				return nil, fmt.Errorf("line %d: %s stands twice", n.Content[i].Line, n.Content[i].Value)
			}
			out[n.Content[i].Value] = v
		}
		return out, nil
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := long(c)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case yaml.ScalarNode:
		if !strings.HasPrefix(n.Tag, "!!") {
			return n.Value, nil
		}
		var v any
		err := n.Decode(&v)
		return v, err
	}
	return nil, fmt.Errorf("line %d: an alias, which CloudFormation does not read", n.Line)
}

// names are what references give while a template is rendered: parameters, resources, "Resource.Attribute" and exports.
type names map[string]any

// account is where the tests render: the account of the placeholders in configs.
func account(more names) names {
	out := names{"AWS::AccountId": "000000000000", "AWS::Region": "sa-east-1", "AWS::Partition": "aws", "Project": "consorcio"}
	for k, v := range more {
		out[k] = v
	}
	return out
}

// render gives a value as CloudFormation gives it to a service.
func (n names) render(t *testing.T, tpl *template, v any) any {
	t.Helper()
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = n.render(t, tpl, v[i])
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for f, argument := range v {
				if f == "Ref" || strings.HasPrefix(f, "Fn::") {
					return n.call(t, tpl, f, argument)
				}
			}
		}
		out := map[string]any{}
		for k := range v {
			out[k] = n.render(t, tpl, v[k])
		}
		return out
	}
	return v
}

func (n names) call(t *testing.T, tpl *template, function string, argument any) any {
	t.Helper()
	list := func() []any {
		rendered, ok := n.render(t, tpl, argument).([]any)
		if !ok {
			t.Fatalf("%s of no list: %v", function, argument)
		}
		return rendered
	}
	switch function {
	case "Ref":
		return n.get(t, tpl, argument.(string))
	case "Fn::GetAtt":
		parts := argument.([]any)
		return n.get(t, tpl, fmt.Sprint(parts[0], ".", parts[1]))
	case "Fn::ImportValue":
		return n.get(t, tpl, fmt.Sprint("export ", n.render(t, tpl, argument)))
	case "Fn::Sub":
		return n.substitute(t, tpl, argument)
	case "Fn::Base64":
		return n.render(t, tpl, argument)
	case "Fn::Split":
		l := list()
		var out []any
		for _, part := range strings.Split(fmt.Sprint(l[1]), fmt.Sprint(l[0])) {
			out = append(out, part)
		}
		return out
	case "Fn::Select":
		l := list()
		return l[1].([]any)[int(l[0].(float64))]
	case "Fn::Join":
		l := list()
		var parts []string
		for _, p := range l[1].([]any) {
			parts = append(parts, fmt.Sprint(p))
		}
		return strings.Join(parts, fmt.Sprint(l[0]))
	case "Fn::FindInMap":
		l := list()
		return tpl.Mappings[fmt.Sprint(l[0])][fmt.Sprint(l[1])][fmt.Sprint(l[2])]
	}
	t.Fatalf("the tests do not know %s", function)
	return nil
}

func (n names) get(t *testing.T, tpl *template, name string) any {
	t.Helper()
	if v, ok := n[name]; ok {
		return v
	}
	if p, ok := tpl.Parameters[name]; ok && p.Default != nil {
		return p.Default
	}
	t.Fatalf("nothing gives %s", name)
	return nil
}

func (n names) substitute(t *testing.T, tpl *template, argument any) string {
	t.Helper()
	local := n
	if l, ok := argument.([]any); ok {
		local = names{}
		for k, v := range n {
			local[k] = v
		}
		for k, v := range l[1].(map[string]any) {
			local[k] = n.render(t, tpl, v)
		}
		argument = l[0]
	}
	var out strings.Builder
	rest := argument.(string)
	for {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			t.Fatalf("%.60s has no end", after)
		}
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
		} else {
			out.WriteString(fmt.Sprint(local.get(t, tpl, name)))
		}
		rest = behind
	}
}

// each calls f for every value inside v, with its path.
func each(v any, at string, f func(at string, v any)) {
	f(at, v)
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			each(v[k], at+"."+k, f)
		}
	case []any:
		for i := range v {
			each(v[i], fmt.Sprintf("%s[%d]", at, i), f)
		}
	}
}
