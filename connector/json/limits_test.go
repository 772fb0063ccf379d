package json

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

func TestNestingIsReadUpToTheLimitAndRefusedBeyondIt(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat(`[{"a":`, n/2) + "0" + strings.Repeat(`}]`, n/2)) }
	c := made(t, "schemas.enable=false")
	v, err := c.convert("topic", nested(maxDepth))
	if err != nil {
		t.Fatal(err)
	}
	agree(t, v, &connector.Format{})
	for _, n := range []int{maxDepth + 2, 2_000_000} {
		if _, err := c.convert("topic", nested(n)); err == nil || !strings.Contains(errorChain(err), "inside each other") {
			t.Errorf("%d levels: %v", n, err)
		}
	}
}

func TestASchemaNestsNoDeeperThanAnyText(t *testing.T) {
	schema := func(n int) string {
		return strings.Repeat(`{"type":"array","items":`, n) + `{"type":"int8"}` + strings.Repeat("}", n)
	}
	c := made(t)
	read := func(n int) error {
		_, err := c.convert("topic", []byte(`{"schema":`+schema(n)+`,"payload":[]}`))
		return err
	}
	if err := read(maxDepth - 2); err != nil {
		t.Error(err)
	}
	if err := read(maxDepth); err == nil {
		t.Error("a schema of more levels than the limit was read")
	}
}

func TestTimeGrowsWithTheLengthOfTheText(t *testing.T) {
	texts := map[string]func(n int) string{
		"numbers":      func(n int) string { return "[" + strings.Repeat("0,", n/2) + "0]" },
		"members":      func(n int) string { return "{" + memberList(n/16) + "}" },
		"escapes":      func(n int) string { return `"` + strings.Repeat(`\u00e7`, n/6) + `"` },
		"accents":      func(n int) string { return `"` + strings.Repeat("ç", n/2) + `"` },
		"same name":    func(n int) string { return "{" + strings.Repeat(`"a":1,`, n/6) + `"a":2}` },
		"open strings": func(n int) string { return strings.Repeat(`["\`, n/3) },
	}
	c := made(t, "schemas.enable=false")
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			const size = 10 << 20
			data := []byte(text(size))
			begin := time.Now()
			if v, err := c.convert("topic", data); err == nil {
				if _, err := v.AppendJSON(nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			// Linear time takes a fraction of a second; quadratic time would take hours.
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("%d bytes took %v", len(data), took)
			}
		})
	}
}

func memberList(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"n%08d":%d`, i, i%10)
	}
	return b.String()
}

func TestAWideStructIsReadWhateverTheOrderOfItsFields(t *testing.T) {
	const columns = 2000
	var schema, forward, backward []string
	for i := range columns {
		schema = append(schema, fmt.Sprintf(`{"field":"c%d","type":"int32"}`, i))
		forward = append(forward, fmt.Sprintf(`"c%d":%d`, i, i))
		backward = append([]string{forward[i]}, backward...)
	}
	c := made(t)
	read := func(fields []string) []byte {
		v, err := c.convert("topic", []byte(`{"schema":{"type":"struct","fields":[`+strings.Join(schema, ",")+`]},"payload":{`+strings.Join(fields, ",")+`}}`))
		if err != nil {
			t.Fatal(err)
		}
		return agree(t, v, &connector.Format{})
	}
	if !bytes.Equal(read(forward), read(backward)) {
		t.Error("the order of the fields changed the value")
	}
}

func TestMissingFieldsDoNotTakeMemoryWithoutBound(t *testing.T) {
	field := make([]string, 2000)
	for i := range field {
		field[i] = fmt.Sprintf(`{"field":"c%d","type":"int32","optional":true}`, i)
	}
	schema := `{"type":"array","items":{"type":"struct","fields":[` + strings.Join(field, ",") + `]}}`
	payload := "[" + strings.Repeat("{},", 1_000_000) + "{}]"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := made(t).convert("topic", []byte(`{"schema":`+schema+`,"payload":`+payload+`}`))
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "missing fields") {
		t.Errorf("got %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<20 {
		t.Errorf("%d bytes allocated before it was refused", took)
	}
}

func TestADecimalOfMoreBytesThanAnyHasIsRefused(t *testing.T) {
	digits := base64.StdEncoding.EncodeToString(make([]byte, jsontext.MaxUnscaled+1))
	schema := `{"type":"bytes","name":"` + connector.NameDecimal + `","parameters":{"scale":"2"}}`
	_, err := made(t).convert("topic", []byte(`{"schema":`+schema+`,"payload":"`+digits+`"}`))
	if want := fmt.Sprintf("%d bytes are more than %d", jsontext.MaxUnscaled+1, jsontext.MaxUnscaled); err == nil || !strings.Contains(errorChain(err), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAValueWithoutASchemaIsNoStruct(t *testing.T) {
	v, err := made(t, "schemas.enable=false").convert("topic", []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.AppendFields(nil); !errors.Is(err, connector.ErrNotStruct) || !strings.Contains(err.Error(), "JSON without a schema") {
		t.Errorf("got %v", err)
	}
}

func TestACacheThatIsFullIsEmptiedAndGivesTheRightSchemas(t *testing.T) {
	for _, size := range []string{"0", "-1", "1", "2", "1000"} {
		c := made(t, "schemas.cache.size="+size)
		for i := range 20 {
			n := i % 5
			data := fmt.Appendf(nil, `{"schema":{"type":"int32","name":"n%d"},"payload":%d}`, n, i)
			v, err := c.convert(fmt.Sprint("topic", i%3), data)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprint("n", n); v.Schema().Name != want {
				t.Fatalf("size %s: schema %s, want %s", size, v.Schema().Name, want)
			}
			if most := max(c.cache.size, 0); len(c.cache.plans) > most || len(c.cache.recent) > most {
				t.Fatalf("size %s: %d plans, %d topics", size, len(c.cache.plans), len(c.cache.recent))
			}
		}
	}
}

func TestACachedSchemaIsSharedByTheValuesThatHaveIt(t *testing.T) {
	c := made(t)
	read := func(text string) *connector.Schema {
		v, err := c.convert("topic", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return v.Schema()
	}
	first := read(`{"schema":{"type":"int32"},"payload":1}`)
	if read(`{"payload":2,"schema":{"type":"int32"}}`) != first || read(`{"schema":{"type":"int32"} ,"payload":3}`) != first {
		t.Error("one schema text gave two schemas")
	}
}

func TestSchemaTextsAreNotKeptBeyondTheirBytes(t *testing.T) {
	c := made(t)
	doc := strings.Repeat("x", maxCached/20)
	for i := range 40 {
		if _, err := c.convert("topic", fmt.Appendf(nil, `{"schema":{"type":"int32","doc":"%d%s"},"payload":1}`, i, doc)); err != nil {
			t.Fatal(err)
		}
		if c.cache.bytes > maxCached {
			t.Fatalf("%d bytes are kept", c.cache.bytes)
		}
	}
}

func TestAConverterIsSafeForConcurrentUse(t *testing.T) {
	c := made(t, "schemas.cache.size=2")
	var group sync.WaitGroup
	for g := range 4 {
		group.Go(func() {
			for i := range 200 {
				n := (g + i) % 4
				v, err := c.convert(fmt.Sprint(n%2), fmt.Appendf(nil, `{"schema":{"type":"int32","version":%d},"payload":1}`, n+1))
				if err != nil || v.Schema().Version != n+1 {
					t.Errorf("version %d: %v", n+1, err)
				}
			}
		})
	}
	group.Wait()
}

func TestTheKeysAreThoseOfJsonConverterConfig(t *testing.T) {
	text := func(s string) *string { return &s }
	want := []config.KeyInfo{
		{Name: "converter.type", Type: "STRING", Required: true, Importance: "LOW", Width: "NONE", DisplayName: "converter.type", OrderInGroup: -1},
		{Name: "schemas.enable", Type: "BOOLEAN", DefaultValue: text("true"), Importance: "HIGH", Group: text("Schemas"), Width: "MEDIUM", DisplayName: "Enable Schemas"},
		{Name: "schemas.cache.size", Type: "INT", DefaultValue: text("1000"), Importance: "HIGH", Group: text("Schemas"), Width: "MEDIUM", DisplayName: "Schema Cache Size", OrderInGroup: 1},
		{Name: "schema.content", Type: "STRING", Importance: "HIGH", Group: text("Schemas"), Width: "MEDIUM", DisplayName: "Schema Content", OrderInGroup: 2},
		{Name: "decimal.format", Type: "STRING", DefaultValue: text("BASE64"), Importance: "LOW", Group: text("Serialization"), Width: "MEDIUM", DisplayName: "Decimal Format"},
		{Name: "replace.null.with.default", Type: "BOOLEAN", DefaultValue: text("true"), Importance: "LOW", Group: text("Serialization"), Width: "MEDIUM", DisplayName: "Replace null with default", OrderInGroup: 1},
	}
	infos := Plugin().Config.Infos()
	if len(infos) != len(want) {
		t.Fatalf("%d keys, want %d", len(infos), len(want))
	}
	show := func(i config.KeyInfo) string {
		value := func(p *string) string {
			if p == nil {
				return "null"
			}
			return *p
		}
		return fmt.Sprint(i.Name, i.Type, i.Required, value(i.DefaultValue), i.Importance, value(i.Group), i.Width, i.DisplayName, i.OrderInGroup)
	}
	for i, info := range infos {
		if show(info) != show(want[i]) {
			t.Errorf("got  %s\nwant %s", show(info), show(want[i]))
		}
	}
}

func TestAnErrorTellsItsJavaClassAndMessage(t *testing.T) {
	c := made(t)
	for text, want := range map[string]string{
		`{`: "org.apache.kafka.connect.errors.DataException: " + textSyntax,
		`{"schema":{"type":"struct","fields":[{"field":"a","type":"int8"}]},"payload":{}}`:                                  "org.apache.kafka.connect.errors.DataException: Invalid null value for required INT8 field",
		`{"schema":{"type":"struct","fields":[{"field":"a","type":"int8"},{"field":"a","type":"int8"}]},"payload":{"a":1}}`: "org.apache.kafka.connect.errors.SchemaBuilderException: Cannot create field because of field name duplication a",
	} {
		_, err := c.convert("topic", []byte(text))
		e := asDataError(err)
		if got := e.ExceptionClass() + ": " + e.ExceptionMessage(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
