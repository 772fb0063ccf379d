package stepfunctions

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/connectortest"
	"github.com/stepconnect/stepconnect/connector/jsontext"
)

// bucket is an S3 endpoint that keeps objects by path and answers 412 to a put that is not the first.
type bucket struct {
	*httptest.Server
	mu      sync.Mutex // guards the rest
	objects map[string]string
	headers []http.Header
	fail    int // the status of every answer; 0 for none
}

func newBucket(t testing.TB) *bucket {
	b := &bucket{objects: map[string]string{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.headers = append(b.headers, r.Header)
	sum := sha256.Sum256(body)
	switch {
	case b.fail != 0:
		w.WriteHeader(b.fail)
	case err != nil || r.Method != http.MethodPut || base64.StdEncoding.EncodeToString(sum[:]) != r.Header.Get("X-Amz-Checksum-Sha256"):
		w.WriteHeader(http.StatusBadRequest)
	case b.objects[r.URL.Path] != "" && r.Header.Get("If-None-Match") == "*":
		w.WriteHeader(http.StatusPreconditionFailed)
	default:
		b.objects[r.URL.Path] = string(body)
	}
}

func (b *bucket) failWith(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = status
}

// large gives an update whose columns have so many bytes.
func large(offset int64, sizes map[string]int, names ...string) *connector.Record {
	r := change("Clientes", "u", "k", offset)
	native, _ := r.Value.Native()
	row := object("id", "k")
	for _, name := range names {
		row.Entries = append(row.Entries, connector.Entry{Key: name, Value: strings.Repeat("ção\"", sizes[name]/7)})
	}
	native.(*connector.MapValue).Entries[1].Value = row
	return r
}

type claimedInput struct {
	Changes []struct {
		Before, After map[string]any
		Claims        []struct {
			Column, Row, Bucket, Key, SHA256 string
			Bytes                            int
		}
	}
}

func claiming(t *testing.T, e *endpoint, b *bucket, pairs ...string) *Sink {
	return claimingFor(t, newTask(t), e, b, pairs...)
}

func claimingFor(t *testing.T, task testTask, e *endpoint, b *bucket, pairs ...string) *Sink {
	return newSink(t, task.TaskContext, settingsFor(e, append([]string{"execution.type", "standard", "oversize.policy", "s3",
		"oversize.s3.bucket", "excedentes", "oversize.s3.endpoint", b.URL, "oversize.s3.sse", "aws:kms", "oversize.s3.kms.key.id", "chave"}, pairs...)...))
}

func TestTheLargestColumnsGoToS3UntilTheRestFits(t *testing.T) {
	e, b := newEndpoint(t, "STANDARD"), newBucket(t)
	s := claiming(t, e, b)
	sizes := map[string]int{"contrato": 200_000, "foto": 190_000, "nota": 30_000, "resumo": 200}
	record := func() *connector.Record { return large(7, sizes, "resumo", "nota", "foto", "contrato") }
	cut, err := s.Cut([]*connector.Record{record()})
	if err != nil || len(cut) != 1 {
		t.Fatalf("%d calls, %v", len(cut), err)
	}
	if len(b.objects) != 0 {
		t.Fatal("a cut stores objects")
	}
	if err := s.Deliver(t.Context(), connectortest.Freeze(cut[0].Records...)); err != nil {
		t.Fatal(err)
	}
	text := e.log("StartExecution")[0].input
	validate(t, inputSchema(t), text)
	if size := jsontext.LiteralSize([]byte(text)) + 2; size > maxInput {
		t.Errorf("the input has %d bytes", size)
	}
	var in claimedInput
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	c := in.Changes[0]
	if len(c.Claims) != 2 || c.Claims[0].Column != "foto" || c.Claims[1].Column != "contrato" || c.After["foto"] != nil || c.After["nota"] == nil {
		t.Fatalf("%d claims, %d columns: %v", len(c.Claims), len(c.After), c.Claims)
	}
	for _, claim := range c.Claims {
		object := b.objects["/excedentes/"+claim.Key]
		sum := sha256.Sum256([]byte(object))
		if hex.EncodeToString(sum[:]) != claim.SHA256 || claim.Key != "claims/"+claim.SHA256 || len(object) != claim.Bytes || claim.Row != "after" || claim.Bucket != "excedentes" {
			t.Errorf("%+v: the object has %d bytes", claim, len(object))
		}
		var value string
		if err := json.Unmarshal([]byte(object), &value); err != nil || value != strings.Repeat("ção\"", sizes[claim.Column]/7) {
			t.Errorf("%s: the object is not the column's value: %v", claim.Column, err)
		}
	}
	got := map[string]string{}
	for _, name := range []string{"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "If-None-Match", "Content-Type"} {
		got[name] = b.headers[0].Get(name)
	}
	want := map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "chave", "If-None-Match": "*", "Content-Type": "application/json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// The same record again, in another incarnation: the same input, and objects that are there are fine.
	if err := claiming(t, e, b).Deliver(t.Context(), connectortest.Freeze(record())); err != nil {
		t.Fatal(err)
	}
	if log := e.log("StartExecution"); len(log) != 2 || log[0] != log[1] {
		t.Error("the repeat is another call")
	}
}

func TestNothingStartsBeforeItsClaimsAreStored(t *testing.T) {
	e, b := newEndpoint(t, "STANDARD"), newBucket(t)
	task := newTask(t)
	s := claimingFor(t, task, e, b)
	batch := connectortest.Freeze(large(7, map[string]int{"foto": 280_000}, "foto"))
	for status, reason := range map[int]string{403: "permission", 404: "destination", 400: "destination", 503: "unknown_outcome"} {
		b.failWith(status)
		err := s.Deliver(t.Context(), batch)
		if class, _ := connector.Classify(err); err == nil || class != connector.ClassRetryable || !strings.Contains(err.Error(), "s3://excedentes/claims/") {
			t.Errorf("%d: class %v: %v", status, class, err)
		}
		if n := task.metrics.Value("stepfunctions_call_errors_total", "domain", "clientes", "reason", reason); n == 0 {
			t.Errorf("%d is not counted as %s", status, reason)
		}
	}
	if n := len(e.log("StartExecution")); n != 0 {
		t.Fatalf("%d executions started", n)
	}
	b.failWith(0)
	if err := s.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	puts := len(b.headers)
	e.script(func(call) *reply { return fault(400, "ThrottlingException") })
	again := connectortest.Freeze(large(8, map[string]int{"foto": 281_000}, "foto"))
	for range 3 {
		if err := s.Deliver(t.Context(), again); err == nil {
			t.Fatal("a throttled start counts as delivered")
		}
	}
	if len(b.headers) != puts+1 {
		t.Errorf("%d puts for three tries of one batch", len(b.headers)-puts)
	}
}

func TestAChangeThatDoesNotFitWithoutItsColumnsIsRejected(t *testing.T) {
	b := newBucket(t)
	s := claiming(t, nil, b)
	r := change("Clientes", "u", "k", 1)
	r.Key = connector.NewValue(nil, object("id", strings.Repeat("k", maxInput)))
	many := large(2, nil)
	native, _ := many.Value.Native()
	row := object()
	for i := range 4000 {
		row.Entries = append(row.Entries, connector.Entry{Key: strings.Repeat("c", 40) + string(rune('a'+i%26)) + string(rune('0'+i/26)), Value: strings.Repeat("v", 40)})
	}
	native.(*connector.MapValue).Entries[1].Value = row
	for what, r := range map[string]*connector.Record{"a huge key": r, "many small columns": many} {
		_, err := s.Cut([]*connector.Record{r})
		partial, _ := errors.AsType[*connector.PartialError](err)
		if partial == nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if class, _ := connector.Classify(partial.Failed[0]); class != connector.ClassRejected {
			t.Errorf("%s: class %v", what, class)
		}
	}
}

func TestClaimsHoldWhatThePolicyShows(t *testing.T) {
	b := newBucket(t)
	s := claiming(t, nil, b, "columns.exclude", "Clientes.foto", "columns.mask", "Clientes.nota", "input.format", "flat")
	sizes := map[string]int{"foto": 300_000, "nota": 300_000, "contrato": 300_000}
	text := inputOf(t, s, large(1, sizes, "foto", "nota", "contrato"))
	validate(t, inputSchema(t), text)
	if !strings.Contains(text, `"nota":"********"`) || strings.Contains(text, "foto") || !strings.Contains(text, `"__claims":[{"column":"contrato","row":"after"`) {
		t.Error(text)
	}
}
