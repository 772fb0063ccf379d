package api

import (
	_ "embed"
	"net/http"
)

// openAPI describes every endpoint (OpenAPI 3.0.3). A test holds it against the routes and against
// the answers of the handlers.
//
//go:embed openapi.json
var openAPI []byte

// OpenAPI gives the document that GET /openapi.json serves. The caller must not change it.
func OpenAPI() []byte { return openAPI }

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI)
}
