package transform

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

func timeOfTest() time.Time { return time.Date(2026, time.March, 14, 10, 7, 21, 537e6, time.UTC) }

// The file lists what GET /connector-plugins/{plugin}/config answers, but for the documentation.
func TestTheDefinitionsAreThoseOfTheFile(t *testing.T) {
	const file = "testdata/definitions.golden"
	var b strings.Builder
	list := func(class string, def *config.Def) {
		fmt.Fprintf(&b, "%s\n", class)
		for _, k := range def.Infos() {
			def := "null"
			if k.DefaultValue != nil {
				def = fmt.Sprintf("%q", *k.DefaultValue)
			}
			fmt.Fprintf(&b, "  %s %s required=%t default=%s %s %s %d\n", k.Name, k.Type, k.Required, def, k.Importance, k.Width, k.OrderInGroup)
		}
	}
	for _, p := range Transforms() {
		list(p.Class, p.Config)
	}
	for _, p := range Predicates() {
		list(p.Class, p.Config)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestEveryTransformOfKafkaIsThereUnderItsClassNameAndAlias(t *testing.T) {
	found := map[string]string{}
	for _, p := range Transforms() {
		found[p.Class] = p.Aliases[0]
	}
	for _, name := range []string{
		"Cast$Key", "Cast$Value", "DropHeaders", "ExtractField$Key", "ExtractField$Value", "Filter", "Flatten$Key", "Flatten$Value",
		"HeaderFrom$Key", "HeaderFrom$Value", "HoistField$Key", "HoistField$Value", "InsertField$Key", "InsertField$Value", "InsertHeader",
		"MaskField$Key", "MaskField$Value", "RegexRouter", "ReplaceField$Key", "ReplaceField$Value", "SetSchemaMetadata$Key", "SetSchemaMetadata$Value",
		"TimestampConverter$Key", "TimestampConverter$Value", "TimestampRouter", "ValueToKey",
	} {
		if alias := found["org.apache.kafka.connect.transforms."+name]; alias != name {
			t.Errorf("%s has the alias %q", name, alias)
		}
	}
	if len(found) != 27 || found["io.debezium.transforms.ExtractNewRecordState"] != "ExtractNewRecordState" {
		t.Errorf("%d transforms", len(found))
	}
}

func TestACacheKeepsTheSameResultForManyGoroutinesAndForgetsTheOldest(t *testing.T) {
	var c cache[int, *int]
	made := func(k int) (*int, error) { return &k, nil }
	first, err := c.get(0, made)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for k := range cacheSize {
				if v, err := c.get(k, made); err != nil || *v != k || k == 0 && v != first {
					t.Errorf("%d gives %d, %v", k, *v, err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := c.get(cacheSize, made); err != nil {
		t.Fatal(err)
	}
	if again, err := c.get(0, made); err != nil || again == first {
		t.Error("the oldest is still there")
	}
	if n := len(*c.known.Load()); n != cacheSize {
		t.Errorf("%d are remembered", n)
	}
}

func TestAStructThatHoldsItselfIsNotFlattened(t *testing.T) {
	node := &connector.Schema{Type: connector.Struct, Optional: true}
	node.Fields = []connector.Field{{Name: "next", Schema: node}}
	v := connector.NewValue(node, &connector.StructValue{Schema: node, Values: []any{nil}})
	_, err := build(t, "Flatten$Value", nil).Apply(&connector.Record{Value: v})
	if err == nil || !strings.Contains(err.Error(), "nested deeper than 64 levels") {
		t.Errorf("error %v", err)
	}
}

// A null comes over the REST API only: a file cannot say it.
func TestARegexOfNullIsRefused(t *testing.T) {
	replacement := "x"
	var said []string
	for _, kv := range routerDef().Validate(map[string]*string{"regex": nil, "replacement": &replacement}) {
		if kv.Value.Name == "regex" {
			said = kv.Value.Errors
		}
	}
	if !strings.Contains(strings.Join(said, "\n"), "Invalid regex: it is null") {
		t.Errorf("%q", said)
	}
}
