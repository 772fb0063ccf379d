package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/runtime"
)

func TestABodyThatCannotBeReadIs400AndNamesTheFieldAndThePosition(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"empty", "", "The request body is empty: expected JSON"},
		{"blank", " \n", "The request body is empty: expected JSON"},
		{"cut off", `{"name": "c", `, `The request body is not valid JSON: unexpected end of JSON input at line 1, column 15 near field "name"`},
		{"cut off in the configuration", "{\"name\":\"c\",\n \"config\": {\"a\": \"1\",\n  \"b\"", `The request body is not valid JSON: unexpected end of JSON input at line 3, column 6 near field "config.b"`},
		{"no JSON", "not json", `The request body is not valid JSON: invalid character 'o' in literal null (expecting 'u') at line 1, column 2`},
		{"a form", "a=b", `The request body is not valid JSON: invalid character 'a' looking for beginning of value at line 1, column 1`},
		{"trailing garbage", `{"name":"c","config":{}} x`, `The request body is not valid JSON: invalid character 'x' after top-level value at line 1, column 26`},
		{"two documents", `{}{}`, `The request body is not valid JSON: invalid character '{' after top-level value at line 1, column 3`},
		{"a comment", `{/* */}`, `The request body is not valid JSON: invalid character '/' looking for beginning of object key string at line 1, column 2`},
		{"a trailing comma", `{"config":{"a":"1",}}`, `The request body is not valid JSON: invalid character '}' looking for beginning of object key string at line 1, column 20 near field "config.a"`},
		{"no UTF-8", "{\"é\xff\":1}", "The request body is not UTF-8: invalid byte at line 1, column 4"},
		{"an array", `[]`, `The request body cannot be read at line 1, column 1: expected an object, got an array`},
		{"a string", `"s"`, `The request body cannot be read at line 1, column 1: expected an object, got a string`},
		{"a number", `5`, `The request body cannot be read at line 1, column 1: expected an object, got a number`},
		{"null", `null`, `The request body cannot be read at line 1, column 1: expected an object, got null`},
		{"an unknown field", `{"name":"é", "extra":1}`, `The request body cannot be read: field "extra" at line 1, column 14: unknown field; known here: name, config, initial_state, initial_offsets`},
		{"a field in another case", `{"Name":"c"}`, `The request body cannot be read: field "Name" at line 1, column 2: unknown field; known here: name, config, initial_state, initial_offsets`},
		{"an array as a value", `{"config":{"topics":["a"]}}`, `The request body cannot be read: field "config.topics" at line 1, column 21: expected a string, a number, a boolean or null, got an array`},
		{"an object as a value", `{"config":{"topics": {"a":1}}}`, `The request body cannot be read: field "config.topics" at line 1, column 22: expected a string, a number, a boolean or null, got an object`},
		{"a text as configuration", `{"config":"x"}`, `The request body cannot be read: field "config" at line 1, column 11: expected an object, got a string`},
		{"an object as name", `{"name":{},"config":{}}`, `The request body cannot be read: field "name" at line 1, column 9: expected a string, a number, a boolean or null, got an object`},
		{"an unknown state", `{"config":{},"initial_state":"HALTED"}`, `The request body cannot be read: field "initial_state" at line 1, column 30: "HALTED" is none of RUNNING, PAUSED, STOPPED`},
		{"no configuration", `{"name":"c"}`, `The request body lacks the field "config": an object with the connector's configuration`},
		{"a null configuration", `{"name":"c","config":null}`, `The request body lacks the field "config": an object with the connector's configuration`},
		{"a configuration that a null took back", `{"config":{"a":"1"},"config":null}`, `The request body lacks the field "config": an object with the connector's configuration`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decodeCreate([]byte(tc.body))
			wantRefusal(t, err, tc.want)
		})
	}
}

func wantRefusal(t *testing.T, err error, want string) {
	t.Helper()
	var refused *runtime.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest {
		t.Fatalf("%v is no refusal with 400", err)
	}
	if refused.Message != want {
		t.Errorf("\n got %s\nwant %s", refused.Message, want)
	}
}

func TestACreateRequestIsReadAsJacksonReadsIt(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, tc := range []struct {
		name, body string
		want       runtime.CreateRequest
	}{
		{"plain", `{"name":"c","config":{"a":"1"},"initial_state":"paused"}`, runtime.CreateRequest{Name: "c", Config: map[string]*string{"a": text("1")}, InitialState: "PAUSED"}},
		{"numbers keep their spelling", `{"config":{"i":2,"f":1.50,"e":1E3,"z":-0.0,"big":12345678901234567890}}`,
			runtime.CreateRequest{Config: map[string]*string{"i": text("2"), "f": text("1.50"), "e": text("1E3"), "z": text("-0.0"), "big": text("12345678901234567890")}}},
		{"booleans and null", `{"name":null,"config":{"t":true,"f":false,"n":null},"initial_state":null}`,
			runtime.CreateRequest{Config: map[string]*string{"t": text("true"), "f": text("false"), "n": nil}}},
		{"a number as name", `{"name":7,"config":{}}`, runtime.CreateRequest{Name: "7", Config: map[string]*string{}}},
		{"the last of two equal names wins", `{"name":"a","name":"b","config":{"k":"1"},"config":{"k":"2","k":"3"}}`,
			runtime.CreateRequest{Name: "b", Config: map[string]*string{"k": text("3")}}},
		{"initial offsets", `{"config":{},"initial_offsets":[{"partition":{"kafka_topic":"t"},"offset":null}]}`,
			runtime.CreateRequest{Config: map[string]*string{}, InitialOffsets: []runtime.PartitionOffset{{Partition: map[string]any{"kafka_topic": "t"}}}}},
		{"no initial offsets", `{"config":{},"initial_offsets":null}`, runtime.CreateRequest{Config: map[string]*string{}}},
		{"an empty list of initial offsets", `{"config":{},"initial_offsets":[]}`, runtime.CreateRequest{Config: map[string]*string{}, InitialOffsets: []runtime.PartitionOffset{}}},
		{"a byte order mark", "\xef\xbb\xbf{\"config\":{}}", runtime.CreateRequest{Config: map[string]*string{}}},
		{"white space at the end", "{\"config\":{}}\r\n\t ", runtime.CreateRequest{Config: map[string]*string{}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := decodeCreate([]byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOffsetsKeepEveryDigitAndWhatTheyAreWrittenAs(t *testing.T) {
	got, err := decodeOffsets([]byte(`{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":{"kafka_offset":9007199254740993}},
		{"partition":null,"offset":null},{"partition":{"kafka_topic":null,"kafka_partition":"1"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []runtime.PartitionOffset{
		{Partition: map[string]any{"kafka_topic": "t", "kafka_partition": json.Number("0")}, Offset: map[string]any{"kafka_offset": json.Number("9007199254740993")}},
		{},
		{Partition: map[string]any{"kafka_topic": nil, "kafka_partition": "1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOffsetsThatCannotBeReadAreRefused(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"an unknown field", `{"bogus":[]}`, `The request body cannot be read: field "bogus" at line 1, column 2: unknown field; known here: offsets`},
		{"an unknown field inside", `{"offsets":[{},{"when":1}]}`, `The request body cannot be read: field "offsets[1].when" at line 1, column 17: unknown field; known here: partition, offset`},
		{"no array", `{"offsets":{}}`, `The request body cannot be read: field "offsets" at line 1, column 12: expected an array, got an object`},
		{"null as an entry", `{"offsets":[null]}`, `The request body cannot be read: field "offsets[0]" at line 1, column 13: expected an object, got null`},
		{"a text as partition", `{"offsets":[{"partition":"t-0"}]}`, `The request body cannot be read: field "offsets[0].partition" at line 1, column 26: expected an object, got a string`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := decodeOffsets([]byte(tc.body))
			wantRefusal(t, err, tc.want)
		})
	}
}

// FuzzBodies holds that any bytes are either read or refused with 400, and that what encoding/json
// takes for a flat object of texts is read as the same.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{`{"name":"c","config":{"a":1}}`, `{"offsets":[{"partition":{"a":[1,{"b":null}]},"offset":{}}]}`, `[{"a":"b"}]`, `{"a":`, "\xef\xbb\xbf{}", `{"a":"\ud800"}`, `{"a":{}}x`, strings.Repeat("[", 20000),
		`{"all":true,"topic":"t","partition":1}`, `{"connector":"c","record":{"key_base64":"AA==","value":{"op":"c"},"headers":[{"key":"h","value":null}]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, e1 := decodeCreate(body)
		_, e2 := decodeOffsets(body)
		got, e3 := decodeStringMap(body)
		_, e4 := decodeLetterRequest(body)
		_, e5 := decodePreview(body)
		for _, err := range []error{e1, e2, e3, e4, e5, checkTaskConfigs(body)} {
			var refused *runtime.Error
			if err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusBadRequest) {
				t.Fatalf("%v is no refusal with 400", err)
			}
		}
		var want map[string]*string
		if json.Unmarshal(body, &want) == nil && want != nil && e3 == nil {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
		_ = lastField(body)
	})
}

// FuzzPaths holds that a path that is let through is in its one normal form.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"/", "/connectors/a%20b/", "/a/../b", "/;x", "/a/./b{x}", "/%2e%2e/x", "//", "/a;b=c", "/%ff", "*", "/%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		path, problem := cleanPath(escaped)
		if problem != "" {
			return
		}
		again, problem := cleanPath(path)
		if problem != "" || again != path {
			t.Fatalf("%q became %q, then %q (%s)", escaped, path, again, problem)
		}
		for _, bad := range []string{"//", "\x00", "\\", "%2F", "%25"} {
			if strings.Contains(path, bad) {
				t.Fatalf("%q became %q", escaped, path)
			}
		}
	})
}

func TestMediaTypesAreNegotiatedAsJerseyDoes(t *testing.T) {
	for accept, want := range map[string]string{
		"": "yes", "*/*": "yes", "*": "yes", "application/json": "yes", "application/*": "yes", "APPLICATION/JSON; charset=utf-8": "yes",
		"text/html": "no", "application/xml": "no", "application/json;q=0": "yes", "application/json;q=0, */*": "yes", "*/*;q=0.1, text/html": "yes",
		"application/json;q=x": "unreadable", "application/json;q=2": "unreadable", "application/json;q=NaN": "unreadable", "text/html, application/json;q=0.2": "yes",
		",": "unreadable", ";": "unreadable", "application/*;q=0, application/json": "yes", "*/json": "yes", "application": "yes", "garbage": "no",
		"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2": "yes",
	} {
		got, err := acceptsJSON([]string{accept})
		if text := map[bool]string{true: "yes", false: "no"}[got]; err == nil && text != want || err != nil && want != "unreadable" {
			t.Errorf("Accept %q: %t %v", accept, got, err)
		}
	}
	for contentType, want := range map[string]int{
		"application/json": 0, "Application/JSON;charset=utf-8": 0, "application/json;": 0, "text/plain": 415, "application/xml": 415, "application/vnd.x+json": 415,
		"*/*": 415, "application/*": 415, "": 400, "x": 400, "application/": 400, "application/json; charset": 400, "application/json, text/plain": 400,
	} {
		got, err := 0, checkType(contentType)
		var refused *runtime.Error
		var framework frameworkError
		switch {
		case errors.As(err, &refused):
			got = refused.Status
		case errors.As(err, &framework):
			got = int(framework)
		}
		if got != want {
			t.Errorf("Content-Type %q: %d", contentType, got)
		}
	}
}
