package avro

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stepconnect/stepconnect/connector"
	"github.com/stepconnect/stepconnect/connector/config"
)

// FuzzRegistryAnswer holds that whatever a registry answers gives a program, or an error that is classified, is not longer
// than a person reads, and holds no credentials.
func FuzzRegistryAnswer(f *testing.F) {
	for _, body := range []string{`{"schema":"\"long\""}`, `{"schema":"\"E\"","references":[{"name":"E","subject":"e","version":1}]}`, `{"schemaType":"PROTOBUF","schema":"x"}`,
		`{"error_code":40403,"message":"Schema not found"}`, `<html>`, `[]`, `null`, `{"schema":7}`, `{"schema":"{\"type\":\"record\"}","references":[{}]}`, ``} {
		for _, status := range []int{200, 404, 500} {
			f.Add(status, []byte(body), []byte(`{"schema":"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}"}`))
		}
	}
	f.Fuzz(func(t *testing.T, status int, first, others []byte) {
		if status < 200 || status > 599 || status/100 == 3 { // what net/http itself deals with
			status = http.StatusOK
		}
		calls := 0
		answer := roundTrip(func(r *http.Request) (*http.Response, error) {
			body := others
			if calls++; calls == 1 {
				body = first
			}
			res := &http.Response{StatusCode: status, Request: r, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
			bound(res)
			return res, nil
		})
		for _, id := range []schemaID{{id: 1}, {guid: "89791b1e-263e-4b6a-8e11-3147162107d8"}} {
			calls = 0
			c := &client{settings: settings{endpoints: []endpoint{{url: "http://registry", user: "ana", password: config.Secret("segredo")}}}, through: answer}
			r := &registry{client: c}
			got, err := r.fetch(t.Context(), id)
			if err == nil {
				if err = got.Err; (err == nil) == (got.Program == nil) {
					t.Fatalf("program %v and %v", got.Program, err)
				}
			}
			if err == nil {
				continue
			}
			if class, _ := connector.Classify(err); class == connector.ClassFatal {
				t.Errorf("not classified: %v", err)
			}
			if text := err.Error(); strings.Contains(text, "segredo") && !bytes.Contains(first, []byte("segredo")) && !bytes.Contains(others, []byte("segredo")) {
				t.Errorf("a password in %q", text)
			}
		}
	})
}
