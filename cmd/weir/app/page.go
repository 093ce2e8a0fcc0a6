package app

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/gateway/serving"
)

// page serves the console of the demo's fleet that runs at the time.
type page struct {
	url    string
	server *http.Server
	now    atomic.Pointer[http.Handler]
}

func startPage(address string) (*page, error) {
	l, err := serving.Listen(fmt.Sprintf("--admin %q", address), address)
	if err != nil {
		return nil, err
	}
	p := &page{url: "http://" + l.Addr().String() + "/"}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if now := p.now.Load(); now != nil {
		(*now).ServeHTTP(w, r)
		return
	}
	http.Error(w, "the fleet starts", http.StatusServiceUnavailable)
}

// show has the page serve another console from now on.
func (p *page) show(console http.Handler) { p.now.Store(&console) }

func (p *page) close() { _ = p.server.Close() }
