package clients

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepconnect/stepconnect/test/scale"
	"github.com/stepconnect/stepconnect/test/stack"
	"github.com/stepconnect/stepconnect/test/worker"
)

// TestWhatTheOpenAPIDocumentSaysIsTrue lets schemathesis make requests of the document, good and bad, and hold the
// answers against it: no 5xx, no status, header or body that the document does not have.
func TestWhatTheOpenAPIDocumentSaysIsTrue(t *testing.T) {
	t.Parallel()
	bin := stack.Programs(t, "schemathesis")
	props := worker.Distributed(t, stack.Kafka(t), stack.Name(t))
	w := worker.Start(t, props)
	out := run(t, scale.D(3*time.Minute, 30*time.Minute), filepath.Join(bin, "schemathesis"), "--config-file", testdata(t, "schemathesis.toml"), "run", w.URL+"/openapi.json",
		"--max-examples", fmt.Sprint(scale.N(12, 400)), "--phases", "examples,coverage,fuzzing,stateful", "--seed", "1", "--no-color", "--no-shrink", "--generation-database", "none", "--warnings", "off",
		"--checks", strings.Join([]string{"not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
			"response_schema_conformance", "negative_data_rejection", "unsupported_method", "allow_header_conformance"}, ","))
	t.Log(out)
	if res, err := w.Get(t.Context(), "/health"); err != nil || res.StatusCode != 200 {
		t.Errorf("afterwards the worker's health is %d %v", res.StatusCode, err)
	}
}
