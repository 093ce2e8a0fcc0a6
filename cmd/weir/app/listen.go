package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/store"
)

// listenOn listens on the address that a flag gave.
func listenOn(flag, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w; name a free address such as 127.0.0.1:8080", flag, address, err)
	}
	return l, nil
}

// lastAnswers is how long connections are taken and kept once the end has come,
// each answer saying that its connection closes. One that was closed without a
// word could just be carrying the next request.
const lastAnswers = 500 * time.Millisecond

// quiet is how long a connection must have carried nothing to be closed at the end.
const quiet = time.Second

// serveUntil serves until ctx ends, then lets what is under way end, and the
// controller drain, for at most the drain time. External processing may be nil.
func serveUntil(ctx context.Context, drain time.Duration, server *http.Server, l net.Listener, processing *extProcServer,
	drainController func(context.Context) error,
) error {
	var ending atomic.Bool
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(&lastWriter{ResponseWriter: w, ending: &ending}, r)
	})
	var idle idleConns
	server.ConnState = idle.note
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(l) }()
	if processing != nil {
		go func() { failed <- processing.serve() }()
	}
	var cause error
	select {
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), store.ErrSuperseded) {
			cause = context.Cause(ctx)
		}
	case cause = <-failed:
	}
	ending.Store(true)
	if processing != nil {
		processing.retire()
	}
	if cause == nil {
		time.Sleep(min(lastAnswers, drain/4))
		_ = deafen(l)                     // at worst a connection is reset
		time.Sleep(50 * time.Millisecond) // the server accepts those that came before
		_ = l.Close()                     // whoever comes now turns to another replica
		for began := time.Now(); idle.close(quiet) > 0 && time.Since(began) < min(2*quiet, drain/4); {
			time.Sleep(quiet / 20)
		}
	}
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	stopped := make(chan error, 1)
	go func() {
		var err error
		if processing != nil {
			err = processing.stop(draining)
		}
		stopped <- err
	}()
	if err := server.Shutdown(draining); err != nil && !errors.Is(err, net.ErrClosed) { // the listener is closed already
		_ = server.Close()
		cause = errors.Join(cause, fmt.Errorf("requests were cut off after %v: %w", drain, err))
	}
	cause = errors.Join(cause, <-stopped)
	if err := drainController(draining); err != nil {
		cause = errors.Join(cause, err)
	}
	return cause
}

// lastWriter says with an answer that begins once the end has come that its
// connection closes.
type lastWriter struct {
	http.ResponseWriter
	ending *atomic.Bool
	begun  bool
}

// WriteHeader implements http.ResponseWriter.
func (w *lastWriter) WriteHeader(code int) {
	w.begin()
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
