package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// errUnsent is in the error of a request of which nothing was sent, as there was no
// connection: another server can be asked.
var errUnsent = errors.New("nothing was sent")

// forwarder sends requests to model servers, over connections that it keeps. It is safe for
// concurrent use.
type forwarder struct {
	kept  *http.Transport
	fresh *http.Transport // a connection of its own for each request
}

func newForwarder(dialer *net.Dialer) *forwarder {
	kept := &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        0, // no limit in all
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // what the client asked for is what it gets
	}
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	return &forwarder{kept: kept, fresh: fresh}
}

// close closes the connections that are kept.
func (f *forwarder) close() { f.kept.CloseIdleConnections() }

// send sends a request, whose GetBody is set if it has a body. A server may close a connection
// that was kept just as a request goes out on it. One that was lost so is sent once more, over
// a fresh connection to the same server; net/http does that by itself for methods that change
// nothing, and where nothing was written.
func (f *forwarder) send(r *http.Request) (*http.Response, error) {
	var on course
	res, err := f.kept.RoundTrip(r.WithContext(on.watch(r.Context())))
	var dial *net.OpError
	switch {
	case err == nil:
		return res, nil
	case errors.As(err, &dial) && dial.Op == "dial":
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	case !on.lost() || r.Context().Err() != nil:
		return nil, err
	}
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	if res, err = f.fresh.RoundTrip(r); err != nil {
		return nil, fmt.Errorf("sent again, as a connection that was kept had been closed: %w", err)
	}
	return res, nil
}

// course is how it went with a request on its last connection. What watches it is on several
// goroutines.
type course struct{ reused, answered atomic.Bool }

func (c *course) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(i httptrace.GotConnInfo) { c.reused.Store(i.Reused) },
		GotFirstResponseByte: func() { c.answered.Store(true) },
	})
}

// lost reports whether a connection that was kept ended before any answer.
func (c *course) lost() bool { return c.reused.Load() && !c.answered.Load() }
