package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stepconnect/stepconnect/internal/embedded/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o registry.Options) *registry.Server {
	t.Helper()
	s, err := registry.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// call sends a request and returns status and body, the latter in one line.
func call(t *testing.T, s *registry.Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/vnd.schemaregistry.v1+json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return resp.StatusCode, strings.TrimSpace(string(data))
}

// posted is the body that registers a schema text.
func posted(text, more string) string {
	quoted, _ := json.Marshal(text)
	return fmt.Sprintf(`{"schema":%s%s}`, quoted, more)
}

const (
	endereco = `{"type": "record", "name": "Endereco", "namespace": "c", "fields": [{"name": "rua", "type": "string"}]}`
	cliente  = `{"type":"record","name":"Cliente","namespace":"c","fields":[{"name":"endereco","type":"c.Endereco"}]}`
)

func TestTheRegistryAnswersAsConfluents(t *testing.T) {
	s := start(t, registry.Options{})
	steps := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"there are no subjects", "GET", "/subjects", "", 200, `[]`},
		{"an unknown subject", "GET", "/subjects/endereco-value/versions", "", 404, `{"error_code":40401,"message":"Subject 'endereco-value' not found."}`},
		{"an unknown id", "GET", "/schemas/ids/1", "", 404, `{"error_code":40403,"message":"Schema 1 not found"}`},
		{"the first schema gets id 1", "POST", "/subjects/endereco-value/versions", posted(endereco, ""), 200, `"id":1,"version":1`},
		{"again the same", "POST", "/subjects/endereco-value/versions", posted(endereco, `,"schemaType":"AVRO"`), 200, `"id":1,"version":1`},
		{"the same text without blanks under another subject keeps the id", "POST", "/subjects/outro%2Fnome/versions", posted(strings.ReplaceAll(endereco, `": `, `":`), ""), 200, `"id":1,"version":1`},
		{"a reference", "POST", "/subjects/cliente-value/versions", posted(cliente, `,"references":[{"name":"c.Endereco","subject":"endereco-value","version":1}]`), 200, `"id":2,"version":1`},
		{"a missing reference", "POST", "/subjects/cliente-value/versions", posted(cliente, ""), 422, `"error_code":42201`},
		{"a reference to nowhere", "POST", "/subjects/cliente-value/versions", posted(cliente, `,"references":[{"name":"x","subject":"nada","version":1}]`), 422, `"error_code":42201`},
		{"no Avro", "POST", "/subjects/x/versions", posted(`{"type":"recordd"}`, ""), 422, `"error_code":42201`},
		{"no JSON", "POST", "/subjects/x/versions", `{"schema":`, 400, `"error_code":400`},
		{"a type of its own", "POST", "/subjects/x/versions", posted("x", `,"schemaType":"XML"`), 422, `Invalid schema type XML`},
		{"an id outside of import", "POST", "/subjects/x/versions", posted(`"int"`, `,"id":77`), 422, `"error_code":42205`},
		{"a second version", "POST", "/subjects/endereco-value/versions", posted(`"string"`, ""), 200, `"id":3,"version":2`},
		{"JSON Schema", "POST", "/subjects/j/versions", posted(`{"type":"object"}`, `,"schemaType":"JSON"`), 200, `"id":4,"version":1`},
		{"protobuf is taken as it is", "POST", "/subjects/p/versions", posted(`syntax = "proto3";`, `,"schemaType":"PROTOBUF"`), 200, `"id":5,"version":1`},
		{"by id, in the form it is kept", "GET", "/schemas/ids/1", "", 200, `{"schema":"{\"type\":\"record\",\"name\":\"Endereco\",\"namespace\":\"c\",\"fields\":[{\"name\":\"rua\",\"type\":\"string\"}]}","guid":"`},
		{"by id, with references", "GET", "/schemas/ids/2?fetchMaxId=false&subject=", "", 200, `"references":[{"name":"c.Endereco","subject":"endereco-value","version":1}]`},
		{"by id, of another type", "GET", "/schemas/ids/4", "", 200, `"schemaType":"JSON"`},
		{"by id, the text alone", "GET", "/schemas/ids/3/schema", "", 200, `"string"`},
		{"who uses an id", "GET", "/schemas/ids/1/versions", "", 200, `[{"subject":"endereco-value","version":1},{"subject":"outro/nome","version":1}]`},
		{"which subjects use an id", "GET", "/schemas/ids/1/subjects", "", 200, `["endereco-value","outro/nome"]`},
		{"versions", "GET", "/subjects/endereco-value/versions", "", 200, `[1,2]`},
		{"one version", "GET", "/subjects/cliente-value/versions/1", "", 200, `{"subject":"cliente-value","version":1,"id":2,"guid":"`},
		{"the latest", "GET", "/subjects/endereco-value/versions/latest", "", 200, `"version":2,"id":3`},
		{"the text of a version", "GET", "/subjects/endereco-value/versions/2/schema", "", 200, `"string"`},
		{"who refers to a version", "GET", "/subjects/endereco-value/versions/1/referencedby", "", 200, `[2]`},
		{"a version that is not there", "GET", "/subjects/endereco-value/versions/9", "", 404, `{"error_code":40402,"message":"Version 9 not found."}`},
		{"a version that is none", "GET", "/subjects/endereco-value/versions/x", "", 422, `"error_code":42202`},
		{"subjects", "GET", "/subjects", "", 200, `["cliente-value","endereco-value","j","outro/nome","p"]`},
		{"look up what is there", "POST", "/subjects/endereco-value", posted(endereco, ""), 200, `"version":1,"id":1`},
		{"look up what is not", "POST", "/subjects/endereco-value", posted(`"long"`, ""), 404, `{"error_code":40403,"message":"Schema not found"}`},
		{"look up under an unknown subject", "POST", "/subjects/nada", posted(`"long"`, ""), 404, `"error_code":40401`},
		{"global compatibility", "GET", "/config", "", 200, `{"compatibilityLevel":"BACKWARD"}`},
		{"no compatibility of its own", "GET", "/config/j", "", 404, `"error_code":40408`},
		{"the global one instead", "GET", "/config/j?defaultToGlobal=true", "", 200, `{"compatibilityLevel":"BACKWARD"}`},
		{"a level that is none", "PUT", "/config/j", `{"compatibility":"SOME"}`, 422, `"error_code":42203`},
		{"a level", "PUT", "/config/j", `{"compatibility":"FULL"}`, 200, `{"compatibility":"FULL"}`},
		{"the level", "GET", "/config/j", "", 200, `{"compatibilityLevel":"FULL"}`},
		{"everything is compatible", "POST", "/compatibility/subjects/j/versions/latest", posted(`{}`, ""), 200, `{"is_compatible":true}`},
		{"the mode", "GET", "/mode", "", 200, `{"mode":"READWRITE"}`},
		{"to import", "PUT", "/mode/x", `{"mode":"IMPORT"}`, 200, `{"mode":"IMPORT"}`},
		{"an id in import", "POST", "/subjects/x/versions", posted(`"int"`, `,"id":77`), 200, `"id":77,"version":1`},
		{"an id that is taken", "POST", "/subjects/x/versions", posted(`"float"`, `,"id":77`), 422, `"error_code":42207`},
		{"ids go on from the highest", "POST", "/subjects/y/versions", posted(`"float"`, ""), 200, `"id":78`},
		{"a soft delete", "DELETE", "/subjects/endereco-value/versions/2", "", 200, `2`},
		{"hides the version", "GET", "/subjects/endereco-value/versions", "", 200, `[1]`},
		{"but not from who asks", "GET", "/subjects/endereco-value/versions?deleted=true", "", 200, `[1,2]`},
		{"nor its id", "GET", "/schemas/ids/3", "", 200, `"schema":"\"string\""`},
		{"a hard delete comes second", "DELETE", "/subjects/j?permanent=true", "", 404, `"error_code":40405`},
		{"a subject is deleted", "DELETE", "/subjects/j", "", 200, `[1]`},
		{"and gone for good", "DELETE", "/subjects/j?permanent=true", "", 200, `[1]`},
		{"types", "GET", "/schemas/types", "", 200, `["JSON","PROTOBUF","AVRO"]`},
		{"the root", "GET", "/", "", 200, `{}`},
		{"anything else", "GET", "/nada", "", 404, `"error_code":404`},
	}
	for _, step := range steps {
		status, body := call(t, s, step.method, step.path, step.body)
		if status != step.status || !strings.Contains(body, step.want) {
			t.Fatalf("%s: %s %s: %d %s\nwant %d %s", step.name, step.method, step.path, status, body, step.status, step.want)
		}
	}
	if n := s.Requests()["GET /schemas/ids/1"]; n != 2 {
		t.Fatalf("GET /schemas/ids/1 was counted %d times, want 2: %v", n, s.Requests())
	}
}

func TestASchemaIsFoundByItsGUID(t *testing.T) {
	s := start(t, registry.Options{})
	r, err := s.Register("a", registry.Schema{Text: endereco})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := call(t, s, "GET", "/schemas/guids/"+r.GUID, ""); status != 200 || !strings.Contains(body, `\"Endereco\"`) {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := call(t, s, "GET", "/schemas/guids/00000000-0000-0000-0000-000000000000", ""); status != 404 || !strings.Contains(body, "40403") {
		t.Fatalf("%d %s", status, body)
	}
}

func TestIdsOnTheWireCanBeForced(t *testing.T) {
	s := start(t, registry.Options{})
	for _, id := range []int{16_777_216, 1} { // one text under two ids, as after a new registration
		if r, err := s.RegisterID("clientes-value", id, registry.Schema{Text: endereco}); err != nil || r.ID != id {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	for _, path := range []string{"/schemas/ids/1", "/schemas/ids/16777216"} {
		if status, body := call(t, s, "GET", path, ""); status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
	if r, err := s.Register("outro", registry.Schema{Text: endereco}); err != nil || r.ID != 16_777_216 {
		t.Fatalf("the first id of the content should be given out again: %+v, %v", r, err)
	}
	if _, err := s.RegisterID("x", 1, registry.Schema{Text: `"int"`}); err == nil || !strings.Contains(err.Error(), "subject x") {
		t.Fatalf("an id that is taken: %v", err)
	}
}

func TestCredentialsAreAskedFor(t *testing.T) {
	s := start(t, registry.Options{User: "ana", Password: "segredo", Token: "ficha"})
	for name, header := range map[string][]string{"none": nil, "a wrong password": {"Authorization", "Basic YW5hOng="}, "a wrong token": {"Authorization", "Bearer x"}} {
		if status, body := call(t, s, "GET", "/subjects", "", header...); status != 401 || body != `{"error_code":401,"message":"Unauthorized"}` {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	for name, header := range map[string][]string{"basic": {"Authorization", "Basic YW5hOnNlZ3JlZG8="}, "bearer": {"Authorization", "Bearer ficha"}} {
		if status, body := call(t, s, "GET", "/subjects", "", header...); status != 200 {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

func TestFaultsStrikeAndPass(t *testing.T) {
	s := start(t, registry.Options{})
	s.SetFault(func(r *http.Request) registry.Fault {
		return registry.Fault{Status: 500, Code: 50001, Message: "Error in the backend data store", Delay: time.Millisecond}
	})
	if status, body := call(t, s, "GET", "/subjects", ""); status != 500 || body != `{"error_code":50001,"message":"Error in the backend data store"}` {
		t.Fatalf("%d %s", status, body)
	}
	s.SetFault(func(r *http.Request) registry.Fault { return registry.Fault{Down: r.URL.Path == "/subjects"} })
	if status, said := call(t, s, "DELETE", "/subjects", ""); status != 0 || !strings.Contains(said, "reset") {
		t.Fatalf("%d %s", status, said)
	}
	if status, _ := call(t, s, "GET", "/config", ""); status != 200 {
		t.Fatal(status)
	}
	s.SetFault(nil)
	if status, _ := call(t, s, "GET", "/subjects", ""); status != 200 {
		t.Fatal(status)
	}
}

func TestOneSchemaRegisteredByManyAtOnceGetsOneId(t *testing.T) {
	s := start(t, registry.Options{})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if r, err := s.Register(fmt.Sprint("s", i%4), registry.Schema{Text: endereco}); err != nil || r.ID != 1 || r.Version != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	wg.Wait()
}
