package app

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/gateway/serving"
	"github.com/weirflow/weir/internal/demo"
)

//go:embed page.html
var pageHTML []byte

// page is the demo's live page.
type page struct {
	url    string
	server *http.Server
	last   atomic.Pointer[demo.Summary]
}

func startPage(address string) (*page, error) {
	l, err := serving.Listen(fmt.Sprintf("--admin %q", address), address)
	if err != nil {
		return nil, err
	}
	p := &page{url: "http://" + l.Addr().String() + "/"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
		_, _ = w.Write(pageHTML)
	})
	mux.HandleFunc("GET /summary", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.last.Load())
	})
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

func (p *page) show(s *demo.Summary) { p.last.Store(s) }

func (p *page) close() { _ = p.server.Close() }
