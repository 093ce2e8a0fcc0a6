package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
)

// errRevoked ends a request for the sake of a more important one.
var errRevoked = errors.New("revoked for a request of higher priority")

// proxy forwards dispatched requests.
type proxy struct {
	gateway   *Gateway
	transport *http.Transport
	reverse   *httputil.ReverseProxy
}

// forwarding is what the proxy keeps of one request on its way, in the
// request's context.
type forwarding struct {
	in      *inbound
	request *controller.Request
	usage   *usageReader
	err     error
}

type forwardingKey struct{}

func forwardingOf(r *http.Request) *forwarding {
	return r.Context().Value(forwardingKey{}).(*forwarding)
}

func newProxy(g *Gateway, dialer *net.Dialer) *proxy {
	p := &proxy{gateway: g, transport: &http.Transport{
		DialContext:         dialer.DialContext,
		MaxIdleConns:        0, // no limit in all
		MaxIdleConnsPerHost: 1024,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // what the client asked for is what it gets
	}}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetXForwarded()
			stripControlHeaders(pr.Out.Header)
		},
		Transport:     p,
		FlushInterval: -1, // every chunk at once
		BufferPool:    &buffers{},
		ErrorLog:      log.New(io.Discard, "", 0), // ErrorHandler has it
		ModifyResponse: func(res *http.Response) error {
			f := forwardingOf(res.Request)
			f.usage = newUsageReader(res.Body, res.Header.Get("Content-Type"), f.in, func(u controller.Usage) { g.cfg.Controller.Progress(f.request, u) })
			res.Body = f.usage
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { forwardingOf(r).err = err },
	}
	return p
}

// forward sends the request to an endpoint and its answer back. The error is
// about a request of which nothing has been answered. An answer that breaks off
// panics with http.ErrAbortHandler, so that the client sees it break off too. An
// answer that streams tells of its progress.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request, in *inbound, request *controller.Request, usage *controller.Usage) error {
	f := &forwarding{in: in, request: request}
	defer func() {
		if f.usage != nil {
			f.usage.finish()
			*usage = f.usage.usage
		}
	}()
	out := r.WithContext(context.WithValue(r.Context(), forwardingKey{}, f))
	out.Body = http.NoBody
	if len(in.body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(in.body))
	}
	out.ContentLength = int64(len(in.body))
	out.TransferEncoding = nil
	p.reverse.ServeHTTP(w, out)
	if f.err != nil && errors.Is(context.Cause(r.Context()), errRevoked) {
		return evicted()
	}
	if f.err != nil && r.Context().Err() != nil {
		return refusalOf(controller.EvictedContextCancelled)
	}
	return f.err
}

// RoundTrip sends the request to the endpoint that suits it best, and to another as
// long as connections fail before anything was sent.
func (p *proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	f := forwardingOf(r)
	var tried []*endpoints.Endpoint
	var last error
	for {
		slot, _ := p.gateway.place(f.request, f.in, &endpoints.Query{Tried: tried})
		if slot == nil {
			if last == nil {
				return nil, refusalOf(controller.EvictedNoEndpoints)
			}
			return nil, &refusal{
				status: http.StatusServiceUnavailable, code: "upstream_unreachable", reason: "rejected-no-endpoints",
				message: fmt.Sprintf("none of the pool's model servers could be reached; the last one tried failed with: %v", last),
			}
		}
		tried = append(tried, slot.Endpoint)
		res, err := p.send(r, slot.URL(), f.in.body)
		if err == nil {
			slot.Answered()
			res.Body = &slotBody{ReadCloser: res.Body, slot: slot}
			return res, nil
		}
		var dial *net.OpError
		if r.Context().Err() != nil || !errors.As(err, &dial) || dial.Op != "dial" {
			slot.Return()
			return nil, fmt.Errorf("model server %s: %w", slot.Address(), err)
		}
		slot.Unreachable(err)
		last = err
	}
}

func (p *proxy) send(r *http.Request, to *url.URL, body []byte) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, to.Host
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return p.transport.RoundTrip(out)
}

// slotBody gives the slot back when the answer is over.
type slotBody struct {
	io.ReadCloser
	slot *endpoints.Slot
}

// Close implements io.Closer.
func (b *slotBody) Close() error {
	b.slot.Return()
	return b.ReadCloser.Close()
}
