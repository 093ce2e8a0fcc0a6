package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// serveUntil serves until ctx ends, then lets what is under way end, and the
// controller drain, for at most the drain time.
func serveUntil(ctx context.Context, drain time.Duration, server *http.Server, l net.Listener, drainController func(context.Context) error) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	var cause error
	select {
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), store.ErrSuperseded) {
			cause = context.Cause(ctx)
		}
	case cause = <-failed:
	}
	draining, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		_ = server.Close()
		cause = errors.Join(cause, fmt.Errorf("requests were cut off after %v: %w", drain, err))
	}
	if err := drainController(draining); err != nil {
		cause = errors.Join(cause, err)
	}
	return cause
}
