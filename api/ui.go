package api

import (
	"embed"
	"io/fs"
	"net/http"
)

// The web page: three files without any foreign resource. It reads the REST API like any client.
//
//go:embed ui
var pageFiles embed.FS

// pagePolicy lets the page load and ask nothing but this worker, and nobody frame it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandlers gives the page's files by path. Paths are normalised before routing: "/ui/" is "/ui".
func pageHandlers() map[string]http.HandlerFunc {
	serve := func(file, contentType string) http.HandlerFunc {
		data, err := fs.ReadFile(pageFiles, "ui/"+file)
		if err != nil {
			panic(err) // the file is part of the program
		}
		return func(w http.ResponseWriter, r *http.Request) {
			if file == "index.html" && r.URL.Path == "/ui" {
				http.Redirect(w, r, "/ui/", http.StatusFound) // the page's links are relative
				return
			}
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Content-Security-Policy", pagePolicy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			_, _ = w.Write(data)
		}
	}
	return map[string]http.HandlerFunc{
		"/ui":           serve("index.html", "text/html; charset=utf-8"),
		"/ui/page.js":   serve("page.js", "text/javascript; charset=utf-8"),
		"/ui/style.css": serve("style.css", "text/css; charset=utf-8"),
	}
}
