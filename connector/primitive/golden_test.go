package primitive

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/primitive/convertertest"
)

// named gives the plugin of that alias.
func named(t testing.TB, alias string) connector.ConverterPlugin {
	t.Helper()
	for _, p := range Plugins() {
		if p.Aliases[1] == alias {
			return p
		}
	}
	t.Fatalf("no plugin %s", alias)
	return connector.ConverterPlugin{}
}

func TestEveryRuleOfTheConvertersOfSingleValues(t *testing.T) {
	for _, alias := range []string{"String", "ByteArray", "Short", "Integer", "Long", "Float", "Double", "Boolean"} {
		t.Run(alias, func(t *testing.T) {
			convertertest.Run(t, named(t, alias), "testdata/"+strings.ToLower(alias)+".txt",
				convertertest.Key, convertertest.Value, convertertest.Header)
			convertertest.RequireEveryKey(t, named(t, alias).Config, "testdata/"+strings.ToLower(alias)+".txt")
		})
	}
}

func TestEveryErrorTextOfTheConvertersOfSingleValuesOccursInACase(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	convertertest.RequireEveryErrorText(t, map[string]string{
		"not an array, a map or a single value": "TestEveryRuleOfTheSimpleHeaderConverter", // it is a string then
		"arrays and maps nest too deep":         "TestArraysThatNestTooDeepStayBytes",
	}, files...)
}

func TestEveryRuleOfTheSimpleHeaderConverter(t *testing.T) {
	convertertest.Run(t, named(t, "Simple"), "testdata/header.txt", convertertest.Header)
}

func TestThePluginsHaveKafkaConnectsClassesAndKeys(t *testing.T) {
	want := map[string]string{
		"org.apache.kafka.connect.storage.StringConverter":       "converter.type converter.encoding",
		"org.apache.kafka.connect.converters.ByteArrayConverter": "converter.type",
		"org.apache.kafka.connect.converters.ShortConverter":     "converter.type",
		"org.apache.kafka.connect.converters.IntegerConverter":   "converter.type",
		"org.apache.kafka.connect.converters.LongConverter":      "converter.type",
		"org.apache.kafka.connect.converters.FloatConverter":     "converter.type",
		"org.apache.kafka.connect.converters.DoubleConverter":    "converter.type",
		"org.apache.kafka.connect.converters.BooleanConverter":   "converter.type",
		"org.apache.kafka.connect.storage.SimpleHeaderConverter": "",
	}
	plugins := Plugins()
	if len(plugins) != len(want) {
		t.Errorf("%d plugins, want %d", len(plugins), len(want))
	}
	for _, p := range plugins {
		var names []string
		for _, info := range p.Config.Infos() {
			names = append(names, info.Name)
		}
		if keys, ok := want[p.Class]; !ok || keys != strings.Join(names, " ") {
			t.Errorf("%s has the keys %q, want %q", p.Class, names, keys)
		}
		if p.NewHeader == nil || (p.New == nil) != strings.Contains(p.Class, "SimpleHeader") {
			t.Errorf("%s serves the wrong roles", p.Class)
		}
	}
}
