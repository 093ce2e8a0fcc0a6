package admin

import (
	"bytes"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed console
var consoleFiles embed.FS

// consolePolicy lets the console load what this address serves, and nothing else; it can
// be framed by nobody and has no scripts or styles in its text.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// IsConsole reports whether a path is one of the console's own files. They hold no figures,
// so that a browser may load them before it has the admin token.
func IsConsole(p string) bool {
	return p == "/" || path.Dir(p) == "/console" && path.Clean(p) == p
}

// serveConsole serves the console's page at / and its other files below /console/.
func serveConsole(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, "index.html") })
	mux.HandleFunc("GET /console/{file}", func(w http.ResponseWriter, r *http.Request) { serveFile(w, r, r.PathValue("file")) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Errorf("there is no %s; the console is at /, and /v1/ lists what else there is", r.URL.Path))
	})
}

func serveFile(w http.ResponseWriter, r *http.Request, name string) {
	data, err := consoleFiles.ReadFile("console/" + name)
	if err != nil || strings.Contains(name, "/") {
		fail(w, http.StatusNotFound, fmt.Errorf("the console has no %s", name))
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // files of one version belong together
	h.Set("Content-Type", map[string]string{
		".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}[path.Ext(name)])
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}
