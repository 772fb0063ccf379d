package config_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector/config"
)

func everyType() *config.Def {
	return config.New(
		config.Key{Name: "string", Default: "d"},
		config.Key{Name: "boolean", Type: config.Boolean, Default: true},
		config.Key{Name: "int", Type: config.Int, Default: 1, Unit: "ms"},
		config.Key{Name: "short", Type: config.Short, Default: int16(2)},
		config.Key{Name: "long", Type: config.Long, Default: int64(3), Unit: "ms"},
		config.Key{Name: "double", Type: config.Double, Default: 0.5},
		config.Key{Name: "list", Type: config.List, Default: []string{"x", "y"}},
		config.Key{Name: "class", Type: config.Class},
		config.Key{Name: "password", Type: config.Password},
	)
}

func TestParseReadsEachTypeAsConfigDefDoes(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"string", "  a b\t", "a b"},
		{"string", "", ""},
		{"string", "\u00a0x", "\u00a0x"}, // Java's trim leaves a no-break space
		{"boolean", " TRUE ", "true"},
		{"boolean", "False", "false"},
		{"boolean", "yes", "!Invalid value yes for configuration boolean: Expected value to be either true or false"},
		{"boolean", "", "!Invalid value  for configuration boolean: Expected value to be either true or false"},
		{"int", " +5 ", "5"},
		{"int", "-2147483648", "-2147483648"},
		{"int", "2147483648", "!Invalid value 2147483648 for configuration int: Not a number of type INT"},
		{"int", "1_000", "!Invalid value 1_000 for configuration int: Not a number of type INT"},
		{"int", "0x10", "!Invalid value 0x10 for configuration int: Not a number of type INT"},
		{"int", " x ", "!Invalid value  x  for configuration int: Not a number of type INT"},
		{"short", "32767", "32767"},
		{"short", "32768", "!Invalid value 32768 for configuration short: Not a number of type SHORT"},
		{"long", "9223372036854775807", "9223372036854775807"},
		{"long", "1.0", "!Invalid value 1.0 for configuration long: Not a number of type LONG"},
		{"double", "1e3", "1000.0"},
		{"double", "1d", "1.0"},
		{"double", "-.5f", "-0.5"},
		{"double", "0x1p3", "8.0"},
		{"double", "NaN", "NaN"},
		{"double", "+Infinity", "Infinity"},
		{"double", "-1e999", "-Infinity"},
		{"double", "12345678", "1.2345678E7"},
		{"double", "0.0001", "1.0E-4"},
		{"double", "inf", "!Invalid value inf for configuration double: Not a number of type DOUBLE"},
		{"double", "1_0", "!Invalid value 1_0 for configuration double: Not a number of type DOUBLE"},
		{"double", "", "!Invalid value  for configuration double: Not a number of type DOUBLE"},
		{"list", "a , b,c", "a,b,c"},
		{"list", "  ", ""},
		{"list", "a,,", "a,,"},
		{"class", " a.B ", "a.B"},
		{"password", " p ", "[hidden]"},
	} {
		t.Run(c.key+"="+c.text, func(t *testing.T) {
			for _, kv := range everyType().Validate(texts(map[string]string{c.key: c.text})) {
				if kv.Value.Name != c.key {
					continue
				}
				got := valueOf(kv)
				if len(kv.Value.Errors) > 0 {
					got = "!" + kv.Value.Errors[0]
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestValuesGiveWhatWasGivenAndDefaultsForTheRest(t *testing.T) {
	v, err := everyType().Parse(map[string]string{"int": "-1", "list": "", "password": "geheim", "other": " o ", "other.sub": "s"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{v.String("string"), v.Bool("boolean"), v.Int("int"), v.Short("short"), v.Long("long"), v.Double("double"), v.List("list"),
		v.Class("class"), v.Password("password").Reveal(), v.Duration("int"), v.Duration("long"),
		v.Has("class"), v.IsNull("class"), v.Has("list"), v.Raw()["other"], v.Prefix("other.")["sub"]}
	want := []any{"d", true, -1, int16(2), int64(3), 0.5, []string{}, "", "geheim", -time.Millisecond, 3 * time.Millisecond, false, true, true, " o ", "s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestADurationBeyondGosIsTheLongest(t *testing.T) {
	for text, want := range map[string]time.Duration{"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64} {
		v, err := everyType().Parse(map[string]string{"long": text})
		if err != nil || v.Duration("long") != want {
			t.Errorf("%s ms is %v (error %v), want %v", text, v.Duration("long"), err, want)
		}
	}
}

func TestAProgrammingErrorPanicsWithTheKeysName(t *testing.T) {
	v, err := everyType().Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := func(k config.Key) func() { return func() { config.New(k) } }
	for name, c := range map[string]struct {
		do   func()
		text string
	}{
		"an undeclared key":             {func() { v.String("nope") }, "key nope is not declared"},
		"another type":                  {func() { v.Long("int") }, "key int is a INT, asked for as a LONG"},
		"a duration without a unit":     {func() { v.Duration("short") }, "key short"},
		"a double name":                 {func() { config.New(config.Key{Name: "k"}, config.Key{Name: "k"}) }, "key k is declared twice"},
		"no name":                       {key(config.Key{}), "without a name"},
		"a default of another type":     {key(config.Key{Name: "k", Type: config.Int, Default: "1"}), "the default of key k is a string, which is no INT"},
		"a default out of range":        {key(config.Key{Name: "k", Type: config.Short, Default: 40000}), "which is no SHORT"},
		"a default that is refused":     {key(config.Key{Name: "k", Type: config.Int, Default: 0, Validate: config.AtLeast(1)}), "Value must be at least 1"},
		"a default of a required key":   {key(config.Key{Name: "k", Required: true, Default: ""}), "key k is required and has a default"},
		"a change of an undeclared key": {func() { config.New().Change("k", nil) }, "key k is not declared"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, c.text) {
					t.Errorf("panic %q, want one with %q", text, c.text)
				}
			}()
			c.do()
		})
	}
}

func TestParseTellsAllProblemsAtOnceInKeyOrder(t *testing.T) {
	def := config.New(
		config.Key{Name: "b", Type: config.Int, Default: 5, Validate: config.Between(1, 9)},
		config.Key{Name: "a", Required: true},
		config.Key{Name: "c", Type: config.Double, Default: 1.0, Validate: config.AtLeast(0.5)},
		config.Key{Name: "d", Default: "x", Validate: config.OneOfFold("x", "y")},
		config.Key{Name: "e", Type: config.List, Default: []string{}, Validate: config.ItemsOf("x", "y")},
		config.Key{Name: "f", Validate: config.NonEmptyString},
		config.Key{Name: "db.password", Type: config.Int, Default: 0},
	).Cross(func(v config.Values) map[string][]string {
		if v.Valid("b") || !v.IsNull("b") {
			t.Error("a key with an error of its own counts as valid in a rule")
		}
		return map[string][]string{"z": {"stray"}, "d": {"cross"}}
	})
	_, err := def.Parse(map[string]string{"b": "10", "c": "0.25", "d": "Z", "e": "x,z", "f": " ", "db.password": "hunter2"})
	var errs *config.Errors
	if !errors.As(err, &errs) {
		t.Fatalf("error %v is no *Errors", err)
	}
	want := []string{
		"stray",
		"Invalid value 10 for configuration b: Value must be no more than 9",
		`Missing required configuration "a" which has no default value.`,
		"Invalid value 0.25 for configuration c: Value must be at least 0.5",
		"Invalid value Z for configuration d: String must be one of (case insensitive): x, y",
		"cross",
		"Invalid value z for configuration e: String must be one of: x, y",
		"Invalid value  for configuration f: String must be non-empty",
		"Invalid value [hidden] for configuration db.password: Not a number of type INT",
	}
	if diff := cmp.Diff(want, errs.Messages()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if err.Error() != strings.Join(want, "\n") {
		t.Errorf("the error reads %q", err)
	}
	if first := errs.All()[1]; first.Key != "b" {
		t.Errorf("the second problem is shown at %s, want b", first.Key)
	}
}

func TestParseDoesNotCheckANullThatIsTheDefault(t *testing.T) {
	v, err := config.New(config.Key{Name: "k", Type: config.Int, Validate: config.AtLeast(1)}).Parse(nil)
	if err != nil || v.Has("k") || v.Int("k") != 0 {
		t.Errorf("error %v, has %v", err, v.Has("k"))
	}
}

func domains() *config.Def {
	return config.New(config.Key{Name: "domains", Type: config.List, Required: true}, config.Key{Name: "domain.fixed.arn", Default: "kept"}).
		Expand(func(raw map[string]string) []config.Key {
			var keys []config.Key
			for _, name := range config.SplitList(raw["domains"]) {
				keys = append(keys, config.Key{Name: "domain." + name + ".arn", Required: true, Validate: config.NonEmptyString, Group: "Domain: " + name, Order: 1})
			}
			return keys
		}).
		Cross(func(v config.Values) map[string][]string {
			if name := v.List("domains"); len(name) == 1 && v.String("domain."+name[0]+".arn") == "bad" {
				return map[string][]string{"domain." + name[0] + ".arn": {"bad"}}
			}
			return nil
		})
}

func TestExpandedKeysDependOnTheConfigurationAndNeverReplaceADeclaredOne(t *testing.T) {
	v, err := domains().Parse(map[string]string{"domains": "a,fixed,a", "domain.a.arn": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if v.String("domain.a.arn") != "x" || v.String("domain.fixed.arn") != "kept" {
		t.Errorf("a is %q, fixed is %q", v.String("domain.a.arn"), v.String("domain.fixed.arn"))
	}
	if n := len(domains().Keys()); n != 2 {
		t.Errorf("%d declared keys, want 2", n)
	}
}

func TestPrefixedHidesThePrefixFromFunctionsAndShowsItInNames(t *testing.T) {
	def := domains().Prefixed("p.")
	_, err := def.Parse(map[string]string{"p.domains": "a", "p.domain.a.arn": ""})
	if want := "Invalid value  for configuration domain.a.arn: String must be non-empty"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = def.Parse(map[string]string{"p.domains": "a"})
	if want := `Missing required configuration "p.domain.a.arn" which has no default value.`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = def.Parse(map[string]string{"p.domains": "a", "p.domain.a.arn": "bad"})
	var errs *config.Errors
	if !errors.As(err, &errs) || errs.All()[0] != (config.KeyError{Key: "p.domain.a.arn", Message: "bad"}) {
		t.Errorf("error %v, want bad at p.domain.a.arn", err)
	}
}

func TestPrefixedKeysKeepTheirDisplayNamesAndPrefixTheirDependents(t *testing.T) {
	k := config.New(config.Key{
		Name: "k", Dependents: []string{"l"},
		Recommend: func(raw map[string]string) []string { return []string{raw["k"]} },
		Visible:   func(raw map[string]string) bool { return raw["k"] == "v" },
	}).Prefixed("p.").Keys()[0]
	raw := map[string]string{"p.k": "v"}
	if k.Name != "p.k" || k.DisplayName != "k" || k.Dependents[0] != "p.l" || k.Recommend(raw)[0] != "v" || !k.Visible(raw) {
		t.Errorf("got %+v", k.Info())
	}
}

func TestWithKeepsTheReceiversKeyAndItsPlace(t *testing.T) {
	a := config.New(config.Key{Name: "x", Default: "a"}, config.Key{Name: "y"})
	b := config.New(config.Key{Name: "z"}, config.Key{Name: "x", Default: "b"})
	both := a.With(b)
	x, _ := both.Lookup("x")
	var names []string
	for _, k := range both.Keys() {
		names = append(names, k.Name)
	}
	if strings.Join(names, "") != "xyz" || x.Default != "a" || len(a.Keys()) != 2 {
		t.Errorf("names %v, x is %v, the receiver has %d keys", names, x.Default, len(a.Keys()))
	}
}

func TestValidateShowsRecommendationsVisibilityAndNoInternalKey(t *testing.T) {
	def := config.New(
		config.Key{Name: "k", Recommend: func(raw map[string]string) []string { return []string{"for " + raw["o"]} },
			Visible: func(raw map[string]string) bool { return raw["o"] == "shown" }},
		config.Key{Name: "i", Internal: true},
		config.Key{Name: "broken", Internal: true, Required: true},
	)
	b, err := json.Marshal(def.Validate(texts(map[string]string{"o": "x"})))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"definition":{"name":"k","type":"STRING","required":false,"default_value":null,"importance":"HIGH","documentation":"","group":null,` +
		`"width":"NONE","display_name":"k","dependents":[],"order_in_group":-1},"value":{"name":"k","value":null,"recommended_values":["for x"],"errors":[],"visible":false}},` +
		`{"definition":{"name":"broken","type":"STRING","required":true,"default_value":null,"importance":"HIGH","documentation":"","group":null,` +
		`"width":"NONE","display_name":"broken","dependents":[],"order_in_group":-1},"value":{"name":"broken","value":null,"recommended_values":[],` +
		`"errors":["Missing required configuration \"broken\" which has no default value."],"visible":true}}]`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if n := len(def.Infos()); n != 1 {
		t.Errorf("%d infos, want 1", n)
	}
}

func TestNewNumbersTheKeysOfAGroup(t *testing.T) {
	var orders []int
	for _, info := range config.New(config.Key{Name: "a", Group: "g"}, config.Key{Name: "b", Group: "h"}, config.Key{Name: "c", Group: "g", Order: 5}, config.Key{Name: "d", Group: "g"}).Infos() {
		orders = append(orders, info.OrderInGroup)
	}
	if diff := cmp.Diff([]int{1, 1, 5, 6}, orders); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("transforms", "a,b", "transforms.a.type", "MaskField$Value")
	f.Add("topics.regex", "a[(", "tasks.max", "99999999999")
	f.Add("domains", ",,x", "domain.x.arn", "\x00")
	f.Add("errors.deadletterqueue.topic.name", "t", "topics", "t , t")
	def := config.ForSink(domains(), lookup, nil)
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		raw := with(k1, v1, k2, v2)
		v, err := def.Parse(raw)
		messages := config.Messages(def.Validate(texts(raw)))
		if (err == nil) != (len(messages) == 0) {
			t.Fatalf("parse says %v, validate says %q", err, messages)
		}
		if err != nil {
			return
		}
		for _, k := range def.For(raw).Keys() {
			if v.Has(k.Name) == v.IsNull(k.Name) {
				t.Errorf("key %s neither has a value nor is null", k.Name)
			}
		}
		if diff := cmp.Diff(raw, v.Raw()); diff != "" {
			t.Errorf("raw changed:\n%s", diff)
		}
	})
}
