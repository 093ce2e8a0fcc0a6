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

// closeRace is how soon after a request went out on a connection that was kept its loss counts
// as the server's having closed an idle connection at that moment. The server's word of that
// comes within a round trip; a second leaves room for a segment lost on the way and a busy
// machine. What is lost later was being worked on, and is not asked for twice.
const closeRace = time.Second

// maxHead is the most that the head of a server's answer may have, in bytes: more than what Envoy
// lets through (60 KiB). net/http's bound of 10 MB took up to 40 MB each in short lines.
const maxHead = 64 << 10

// forwarder sends requests to model servers, over connections that it keeps. It is safe for
// concurrent use.
type forwarder struct {
	kept  *http.Transport
	fresh *http.Transport // a connection of its own for each request, on which net/http repeats nothing
}

func newForwarder(dialer *net.Dialer) *forwarder {
	kept := &http.Transport{
		DialContext:            dialer.DialContext,
		MaxIdleConns:           0, // no limit in all
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // what the client asked for is what it gets
		MaxResponseHeaderBytes: maxHead,
	}
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	return &forwarder{kept: kept, fresh: fresh}
}

// close closes the connections that are kept.
func (f *forwarder) close() { f.kept.CloseIdleConnections() }

// send sends a request, whose GetBody is set if it has a body. A server may close a connection
// that was kept just as a request goes out on it: one that was lost so is sent once more, over
// a fresh connection to the same server. No request reaches it more than twice.
//
// net/http has a rule of its own, which is kept out: what changes nothing by its method, or by a
// client's header Idempotency-Key, it sends on one kept connection after another, as often as
// there are any, provided that it can have the body again or that there is none.
func (f *forwarder) send(r *http.Request) (*http.Response, error) {
	if r.GetBody == nil { // no prompt, so rare
		res, err := f.fresh.RoundTrip(r)
		return res, unsent(err)
	}
	var on course
	first := r.WithContext(on.watch(r.Context()))
	first.GetBody = nil
	res, err := f.kept.RoundTrip(first)
	if err == nil {
		return res, nil
	}
	if !on.closedUnder() || r.Context().Err() != nil {
		return nil, unsent(err)
	}
	if r.Body, err = r.GetBody(); err != nil {
		return nil, err
	}
	if res, err = f.fresh.RoundTrip(r); err != nil {
		return nil, fmt.Errorf("sent again, as a connection that was kept had been closed: %w", err)
	}
	return res, nil
}

// unsent has errUnsent in the error of a request that got no connection.
func unsent(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	return err
}

// course is how it went with a request on its connection. What watches it is on several
// goroutines.
type course struct {
	kept     atomic.Pointer[time.Time] // when it went out, on a connection that was kept
	answered atomic.Bool
}

func (c *course) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				now := time.Now()
				c.kept.Store(&now)
			}
		},
		GotFirstResponseByte: func() { c.answered.Store(true) },
	})
}

// closedUnder reports whether a connection that was kept ended before any answer, so soon that
// the server closed it as an idle one.
func (c *course) closedUnder() bool {
	at := c.kept.Load()
	return at != nil && !c.answered.Load() && time.Since(*at) < closeRace
}
