// Package serving serves on an address until it is time to end, and then ends without
// cutting off what is under way or what is just coming in:
//
//	serve ── the end ──> answers say that their connection closes
//	                     the listener accepts what has arrived, nothing new, and closes
//	                     quiet connections close, busy ones end with their answer
//	                     streams end, for at most the drain time
package serving

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Listen listens on the address that the named setting gave.
func Listen(name, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; name a free address", name, err)
	}
	return l, nil
}

// Service is a server beside the HTTP server.
type Service interface {
	// Serve serves until it is stopped.
	Serve() error
	// Retire makes health checks fail, so that nothing new comes.
	Retire()
	// Stop accepts nothing new, and lets what is under way end until ctx does.
	Stop(ctx context.Context) error
}

// lastAnswers is how long connections are still accepted and kept once the end has come,
// while each answer says that its connection closes. A connection that is closed without
// saying so could just be carrying the next request.
const lastAnswers = 500 * time.Millisecond

// quiet is how long a connection must have been idle to be closed at the end.
const quiet = time.Second

// Until serves until ctx ends or a server fails, then lets what is under way end, for at
// most the drain time; last is called at the end of that with what is left of it.
func Until(ctx context.Context, drain time.Duration, server *http.Server, l net.Listener, last func(context.Context) error, beside ...Service) error {
	var ending atomic.Bool
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&lastWriter{ResponseWriter: w, ending: &ending}, r)
	})
	var idle idleConns
	noted := server.ConnState
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if noted != nil {
			noted(conn, state)
		}
		idle.note(conn, state)
	}
	failed := make(chan error, 1+len(beside))
	go func() { failed <- server.Serve(l) }()
	for _, s := range beside {
		go func() { failed <- s.Serve() }()
	}
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	}
	ending.Store(true)
	for _, s := range beside {
		s.Retire()
	}
	if cause == nil {
		endConnections(l, &idle, drain)
	}
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	stopped := make(chan error, len(beside))
	for _, s := range beside {
		go func() { stopped <- s.Stop(draining) }()
	}
	if err := server.Shutdown(draining); err != nil && !errors.Is(err, net.ErrClosed) { // the listener is closed already
		_ = server.Close()
		cause = errors.Join(cause, fmt.Errorf("requests were cut off after %v: %w", drain, err))
	}
	for range beside {
		cause = errors.Join(cause, <-stopped)
	}
	return errors.Join(cause, last(draining))
}

// endConnections accepts the connections that are on their way, and closes the listener
// and idle connections.
func endConnections(l net.Listener, idle *idleConns, drain time.Duration) {
	time.Sleep(min(lastAnswers, drain/4))
	_ = deafen(l)                     // where that is not supported, what comes in the moment of closing is reset
	time.Sleep(50 * time.Millisecond) // the server accepts those that came before
	for began := time.Now(); arrived(l) && time.Since(began) < drain/4; {
		time.Sleep(time.Millisecond)
	}
	_ = l.Close() // clients that come now are refused and try another replica
	for began := time.Now(); idle.close(quiet) > 0 && time.Since(began) < min(2*quiet, drain/4); {
		time.Sleep(quiet / 20)
	}
}

// lastWriter adds to each answer that begins once the end has come that its connection
// closes.
type lastWriter struct {
	http.ResponseWriter
	ending *atomic.Bool
	begun  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *lastWriter) WriteHeader(code int) {
	if code >= http.StatusOK { // what comes before an answer ends no connection
		w.begin()
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *lastWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

func (w *lastWriter) begin() {
	if !w.begun && w.ending.Load() {
		w.Header().Set("Connection", "close")
	}
	w.begun = true
}

// Unwrap lets http.ResponseController reach the writer's other abilities.
func (w *lastWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
