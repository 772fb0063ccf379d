package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector/config"
)

// What testdata/connect-*.json hold was recorded from a JVM Kafka Connect 4.3.1 worker.

const (
	stringConverter = "org.apache.kafka.connect.storage.StringConverter"
	fileSink        = "org.apache.kafka.connect.file.FileStreamSinkConnector"
	transforms      = "org.apache.kafka.connect.transforms."
)

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// lookup knows a few of Kafka Connect's plugins.
func lookup(kind, class string) (*config.Def, error) {
	plugins := []struct {
		kind, class string
		def         *config.Def
	}{
		{config.KindConverter, stringConverter, config.New(config.Key{Name: "converter.encoding", Default: "UTF-8"})},
		{config.KindHeaderConverter, stringConverter, config.New(config.Key{Name: "converter.encoding", Default: "UTF-8"})},
		{"sink", fileSink, config.New()},
		{config.KindTransformation, transforms + "Filter", config.New()},
		{config.KindTransformation, transforms + "RegexRouter", config.New(
			config.Key{Name: "regex", Required: true},
			config.Key{Name: "replacement", Required: true})},
		{config.KindTransformation, transforms + "MaskField$Value", config.New(
			config.Key{Name: "fields", Type: config.List, Required: true, Validate: config.NonEmptyList},
			config.Key{Name: "predicate", Type: config.Int, Doc: "masked by the host's key"}).
			Cross(func(v config.Values) map[string][]string {
				if len(v.List("fields")) > 2 {
					return map[string][]string{"fields": {"too many"}}
				}
				return nil
			})},
		{config.KindPredicate, transforms + "predicates.RecordIsTombstone", config.New()},
	}
	if strings.HasSuffix(class, "MaskField") {
		return nil, config.AbstractClass(transforms+"MaskField$Key", transforms+"MaskField$Value")
	}
	err := config.ErrNoClass
	for _, p := range plugins {
		simple := p.class[strings.LastIndex(p.class, ".")+1:]
		if class != p.class && class != simple {
			continue
		}
		if p.kind == kind {
			return p.def.Of(p.class, "4.3.1"), nil
		}
		err = config.WrongKind(kind, p.class)
	}
	return nil, err
}

func fileStreamSink() *config.Def {
	own := config.New(config.Key{Name: "file", Doc: "Destination filename."}).Of(fileSink, "4.3.1")
	return config.ForSink(own, lookup, func(kind string) []string { return []string{"a." + kind} })
}

func TestValidateAnswersTheErrorsThatKafkaConnectAnswered(t *testing.T) {
	var cases []struct {
		Case     string
		Config   map[string]*string
		Errors   map[string][]string
		Messages []string
	}
	readJSON(t, "connect-errors.json", &cases)
	def := fileStreamSink().Cross(config.GroupConflict("connect-conformance"))
	for _, c := range cases {
		t.Run(c.Case, func(t *testing.T) {
			answer := def.Validate(c.Config)
			if c.Messages != nil {
				if diff := cmp.Diff(anyRegex(c.Messages), anyRegex(config.Messages(answer))); diff != "" {
					t.Errorf("messages (-recorded +ours):\n%s", diff)
				}
				return
			}
			got := map[string][]string{}
			for _, kv := range answer {
				if len(kv.Value.Errors) > 0 {
					got[kv.Value.Name] = anyRegex(kv.Value.Errors)
				}
			}
			for name := range c.Errors {
				c.Errors[name] = anyRegex(c.Errors[name])
			}
			if diff := cmp.Diff(c.Errors, got); diff != "" {
				t.Errorf("errors (-recorded +ours):\n%s", diff)
			}
		})
	}
}

// anyRegex cuts what Java's regular expressions say of themselves.
func anyRegex(texts []string) []string {
	cut := make([]string, len(texts))
	for i, text := range texts {
		before, _, _ := strings.Cut(text, "Invalid regex: ")
		cut[i] = before
	}
	return cut
}

func TestInfosAreThoseOfKafkaConnectAndThenOurs(t *testing.T) {
	var want map[string]map[string]any
	readJSON(t, "connect-plugin-config.json", &want)
	got := map[string]map[string]any{}
	for _, info := range fileStreamSink().Infos() {
		if info.Group != nil && *info.Group == "Delivery" {
			continue
		}
		got[info.Name] = fields(t, info)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("definitions (-recorded +ours):\n%s", diff)
	}
}

// fields gives v as JSON, normalised as the recording is.
func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	delete(m, "documentation")
	if m["name"] == "connector.plugin.version" && m["default_value"] == "4.3.1" {
		m["default_value"] = "<version>"
	}
	return m
}

func TestValidateAnswersDefinitionsAndValuesAsKafkaConnectDid(t *testing.T) {
	var want struct {
		Configs map[string]map[string]any
		Groups  []string
	}
	readJSON(t, "connect-validate.json", &want)
	answer := fileStreamSink().Validate(texts(map[string]string{
		"connector.class": "FileStreamSink", "topics": "cf-t-validate-defs-~N~", "file": "~DIR~/cf-validate-defs-~N~.out",
		"key.converter": stringConverter, "value.converter": stringConverter, "name": "cf-validate-defs-~N~", "extra": "1",
	}))
	got := map[string]map[string]any{}
	for _, kv := range answer {
		if want.Configs[kv.Value.Name] != nil {
			got[kv.Value.Name] = map[string]any{"definition": any(fields(t, kv.Definition)), "value": any(fields(t, kv.Value))}
		}
	}
	if diff := cmp.Diff(want.Configs, got); diff != "" {
		t.Errorf("entries (-recorded +ours):\n%s", diff)
	}
	if diff := cmp.Diff(append(want.Groups, "Delivery"), config.Groups(answer)); diff != "" {
		t.Errorf("groups (-recorded +ours):\n%s", diff)
	}
}

func TestValidateListsTheKeysThatKafkaConnectListed(t *testing.T) {
	var want struct{ Configs []string }
	readJSON(t, "connect-validate-names.json", &want)
	var got []string
	for _, k := range fileStreamSink().Keys() {
		if k.Group != "Delivery" {
			got = append(got, k.Name)
		}
	}
	for _, prefix := range []string{"key.converter.", "value.converter."} {
		converter, err := lookup(config.KindConverter, stringConverter)
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range converter.ValidateUnder(prefix, nil) {
			got = append(got, kv.Value.Name)
		}
		got = append(got, prefix+"converter.type") // added to every converter's keys by the converter itself
	}
	slices.Sort(got)
	if diff := cmp.Diff(want.Configs, got); diff != "" {
		t.Errorf("names (-recorded +ours):\n%s", diff)
	}
}

func TestTheKeysOfAConverterAreJudgedWithoutThePrefixAndListedWithIt(t *testing.T) {
	def := config.New(config.Key{Name: "schemas.enable", Type: config.Boolean, Default: true}, config.Key{Name: "registry", Required: true})
	answer := def.ValidateUnder("value.converter.", texts(map[string]string{"value.converter.schemas.enable": "x", "schemas.enable": "true", "registry": "r"}))
	var names []string
	for _, kv := range answer {
		names = append(names, kv.Definition.Name, kv.Value.Name)
	}
	if diff := cmp.Diff([]string{"value.converter.schemas.enable", "value.converter.schemas.enable", "value.converter.registry", "value.converter.registry"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	want := []string{"Invalid value x for configuration schemas.enable: Expected value to be either true or false",
		`Missing required configuration "registry" which has no default value.`}
	if diff := cmp.Diff(want, config.Messages(answer)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestALongListOfAliasesIsJudgedToItsEnd(t *testing.T) {
	var list strings.Builder
	for i := range 10_000 {
		list.WriteString("a" + strconv.Itoa(i) + ",")
	}
	n := len(config.Messages(fileStreamSink().Validate(texts(with("transforms", list.String()+"z", "predicates", list.String()+"z")))))
	if n != 2*10_001 {
		t.Errorf("%d errors, want one for each alias", n)
	}
}

func texts(m map[string]string) map[string]*string {
	p := map[string]*string{}
	for k, v := range m {
		p[k] = &v
	}
	return p
}

// with adds entries to a sound configuration; an entry of "-" removes one.
func with(pairs ...string) map[string]string {
	m := map[string]string{"name": "c", "connector.class": "FileStreamSink", "topics": "t"}
	for i := 0; i < len(pairs); i += 2 {
		if m[pairs[i]] = pairs[i+1]; pairs[i+1] == "-" {
			delete(m, pairs[i])
		}
	}
	return m
}

func TestErrorsOfASinkConnector(t *testing.T) {
	mask := "transforms.m.type"
	for name, c := range map[string]struct {
		config map[string]string
		want   []string
	}{
		"a sound configuration has none": {with("transforms", "m", mask, "MaskField$Value", "transforms.m.fields", "a"), []string{}},
		"an alias twice": {with("transforms", "m, m", mask, "MaskField$Value", "transforms.m.fields", "a"),
			[]string{"Invalid value [m, m] for configuration transforms: Duplicate alias provided."}},
		"a validator inside a transform names the unprefixed key": {with("transforms", "m", mask, "MaskField$Value", "transforms.m.fields", " "),
			[]string{"Invalid value [] for configuration fields: Empty list"}},
		"negate without predicate comes before an unknown class": {with("transforms", "m", mask, "Nope", "transforms.m.negate", "true"),
			[]string{"Invalid value Nope for configuration transforms.m.type: Class Nope could not be found.",
				"Config 'transforms.m.negate' was provided but there is no config 'transforms.m.predicate' defining a predicate to be negated."}},
		"a rule of the transform itself": {with("transforms", "m", mask, "MaskField$Value", "transforms.m.fields", "a,b,c"), []string{"too many"}},
		"the outer class of a transform": {with("transforms", "m", mask, transforms+"MaskField"),
			[]string{"This class is abstract and cannot be created. Did you mean " + transforms + "MaskField$Key, " + transforms + "MaskField$Value?"}},
		"negate is a boolean": {with("transforms", "m", mask, "Filter", "transforms.m.predicate", "p", "transforms.m.negate", "x"),
			[]string{"Invalid value x for configuration transforms.m.negate: Expected value to be either true or false"}},
		"a predicate that nobody defines is accepted": {with("transforms", "m", mask, "Filter", "transforms.m.predicate", "ghost"), []string{}},
		"an empty alias misses its type": {with("transforms", "m,,", mask, "Filter"),
			[]string{"Invalid value [m, , ] for configuration transforms: Duplicate alias provided.",
				"Missing required configuration \"transforms..type\" which has no default value."}},
		"empty items in topics": {with("topics", "a,,b"), []string{"Configuration 'topics' values must not be empty."}},
		"control characters in the name": {with("name", "a\x01b\x7f"),
			[]string{"Invalid value a\x01b\x7f for configuration name: String may not contain control sequences but had the following ASCII chars: 1, 127"}},
		"the DLQ among several topics": {with("topics", "b , a,,a", "errors.deadletterqueue.topic.name", " a "),
			[]string{"Configuration 'topics' values must not be duplicated.",
				"The DLQ topic 'a' may not be included in the list of topics ('topics=[b, a]') consumed by the connector"}},
		"the DLQ matched only in part": {with("topics", "-", "topics.regex", "a|b", "errors.deadletterqueue.topic.name", "ab"), []string{}},
		"look-ahead in topics.regex": {with("topics", "-", "topics.regex", "a(?=b)"),
			[]string{"Invalid value a(?=b) for configuration topics.regex: Invalid regex: look-ahead ((?= near index 1) is not in RE2, the syntax of this worker"}},
		"converter keys without the converter": {with("value.converter.schemas.enable", "false"),
			[]string{"Config 'value.converter.schemas.enable' was provided but there is no config 'value.converter' naming the converter that it configures."}},
		"a converter by its alias":  {with("value.converter", "StringConverter", "value.converter.converter.encoding", "x"), []string{}},
		"the connector's own group": {with("name", "workers"), []string{"Consumer group for sink connector named workers conflicts with Connect worker group connect-workers"}},
		"limits that contradict each other": {with("batch.max.records", "9", "max.pending.records", "8", "delivery.retry.backoff.ms", "70000"),
			[]string{"Invalid value 9 for configuration batch.max.records: Value must be no more than max.pending.records, which is 8",
				"Invalid value 70000 for configuration delivery.retry.backoff.ms: Value must be no more than delivery.retry.backoff.max.ms, which is 60000"}},
		"a lease as long as the session": {with("consumer.override.session.timeout.ms", "5000"),
			[]string{"Invalid value 5000 for configuration fencing.lease.ms: Value must be less than consumer.override.session.timeout.ms, which is 5000"}},
		"a silent skip where that needs consent": {with("errors.tolerance", "all"),
			[]string{"errors.tolerance=all without errors.deadletterqueue.topic.name loses the records that cannot be delivered; set a dead letter queue, or errors.skip.without.dlq=true to accept the loss."}},
		"consent to a silent skip": {with("errors.tolerance", "all", "errors.skip.without.dlq", "TRUE"), []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			def := fileStreamSink().Cross(config.GroupConflict("connect-workers")).Cross(config.SkipNeedsConsent)
			if diff := cmp.Diff(c.want, config.Messages(def.Validate(texts(c.config)))); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestANullIsAnErrorExceptOnTheConnectorsOwnKeys(t *testing.T) {
	raw := texts(with())
	raw["file"], raw["tasks.max"], raw["unknown"] = nil, nil, nil
	answer := fileStreamSink().Validate(raw)
	want := []string{
		"Null value can not be supplied as the configuration value.",
		"Invalid value null for configuration tasks.max: Value must be non-null",
		"Null value can not be supplied as the configuration value.",
	}
	if diff := cmp.Diff(want, config.Messages(answer)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if answer[0].Value.Name != "unknown" || answer[0].Definition != nil {
		t.Errorf("the undeclared key comes first and without a definition, got %+v", answer[0])
	}
}

func TestKeysOfATransformStandInItsGroupAndOrder(t *testing.T) {
	def := fileStreamSink().For(with("transforms", "m", "transforms.m.type", "MaskField$Value", "predicates", "p", "predicates.p.type", "RecordIsTombstone"))
	var got []string
	for _, kv := range def.Validate(texts(with("transforms", "m", "transforms.m.type", "MaskField$Value", "transforms.m.fields", "a"))) {
		d := kv.Definition
		if d.Group != nil && strings.HasPrefix(*d.Group, "Transforms: ") {
			got = append(got, strings.Join([]string{d.Name, d.Type, *d.Group, d.DisplayName, valueOf(kv)}, " | "))
			if d.OrderInGroup != len(got)-1 {
				t.Errorf("%s has order %d, want %d", d.Name, d.OrderInGroup, len(got)-1)
			}
		}
	}
	want := []string{
		"transforms.m.type | CLASS | Transforms: m | Transformation type for m | " + transforms + "MaskField$Value",
		"transforms.m.plugin.version | STRING | Transforms: m | Transformation version for m | 4.3.1",
		"transforms.m.predicate | STRING | Transforms: m | predicate | null",
		"transforms.m.negate | BOOLEAN | Transforms: m | negate | false",
		"transforms.m.fields | LIST | Transforms: m | fields | a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	k, ok := def.Lookup("predicates.p.type")
	if !ok || !reflect.DeepEqual(k.Recommend(nil), []string{"a.predicate"}) {
		t.Errorf("predicates.p.type is missing or recommends nothing: %+v", k)
	}
}

func valueOf(kv config.KeyValue) string {
	if kv.Value.Value == nil {
		return "null"
	}
	return *kv.Value.Value
}

func TestASinkMayRedefineAKeyOfTheHostInItsPlace(t *testing.T) {
	own := config.New(config.Key{Name: "tasks.max", Type: config.Int, Default: 7}, config.Key{Name: "own"})
	keys := config.ForSink(own, lookup, nil).Keys()
	if keys[3].Name != "tasks.max" || keys[3].Default != int32(7) {
		t.Errorf("the fourth key is %s with default %v, want tasks.max with 7", keys[3].Name, keys[3].Default)
	}
	if last := keys[len(keys)-1]; last.Name != "own" {
		t.Errorf("the last key is %s, want the sink's own", last.Name)
	}
}

func TestTopicsRegexMatchesWholeNamesAndRefusesWhatRE2Lacks(t *testing.T) {
	for _, c := range []struct{ pattern, match, refuse, reason string }{
		{`a|b`, "b", "ab", ""},
		{`(?i)Clientes-.*`, "clientes-x", "x-clientes-x", ""},
		{`\Qa.(?=b\E`, "a.(?=b", "ab", ""},
		{`[]a]+`, "]a", "b", ""},
		{`[^]a]`, "b", "a", ""},
		{`a\++`, "a++", "a", ""},
		{`[\[&]`, "[", "a", ""},
		{`(?<name>a)`, "a", "b", ""},
		{`a(?!b)`, "", "", "a negative look-ahead ((?! near index 1)"},
		{`(?<=b)`, "", "", "look-behind ((?<= near index 0)"},
		{`(?<!b)`, "", "", "a negative look-behind"},
		{`(?>a)`, "", "", "an atomic group"},
		{`(?U)a+`, "", "", "the flag U"},
		{`a*+`, "", "", "a possessive repetition (*+ near index 1)"},
		{`a{2}+`, "", "", "a possessive repetition"},
		{`(a)\1`, "", "", `a back-reference (\1 near index 3)`},
		{`[a[b]]`, "", "", "a class inside a class"},
		{`[[:alpha:]]`, "", "", "a class inside a class"},
		{`[a&&b]`, "", "", "an intersection of classes"},
		{`a\Z`, "", "", "invalid escape sequence: `\\Z`"},
		{`\Qa`, "", "", `\Q near index 0 is not closed by \E`},
		{`a)(b`, "", "", "unexpected ): `a)(b`"},
		{`a\`, "", "", "trailing backslash"},
		{`a{1001}`, "", "", "invalid repeat count"},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			re, err := config.TopicsRegex(c.pattern)
			if c.reason != "" {
				if err == nil || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("error %v, want one with %q", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !re.MatchString(c.match) || re.MatchString(c.refuse) {
				t.Errorf("matches %q: %v, matches %q: %v", c.match, re.MatchString(c.match), c.refuse, re.MatchString(c.refuse))
			}
		})
	}
}
