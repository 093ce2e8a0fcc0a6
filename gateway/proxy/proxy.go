// Package proxy is the gateway's door by HTTP: a reverse proxy for the APIs of model servers.
package proxy

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/internal/stacks"
)

// Config describes a proxy.
type Config struct {
	// BodyTimeout is how long a client may take to send its body; 1 minute by
	// default.
	BodyTimeout time.Duration
	// DialTimeout is how long a connection to a model server may take; 2 s by
	// default. Another endpoint is tried after it.
	DialTimeout time.Duration
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Proxy is an http.Handler that drives sessions by HTTP: it holds the client's connection and
// forwards dispatched requests itself. Close it after the server in front of it.
type Proxy struct {
	gateway   *gateway.Gateway
	cfg       Config
	forwarder *forwarder
	reverse   *httputil.ReverseProxy
	stacks    *stacks.Pool // of all that a request needs but for its wait
}

// New returns the proxy of a gateway.
func New(g *gateway.Gateway, cfg Config) *Proxy {
	if cfg.BodyTimeout <= 0 {
		cfg.BodyTimeout = time.Minute
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	p := &Proxy{gateway: g, cfg: cfg, forwarder: newForwarder(&net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 30 * time.Second}), stacks: stacks.New()}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetXForwarded()
			headers.Strip(pr.Out.Header)
			pr.Out.Header.Set(headers.Encoding, headers.Plain)
		},
		Transport:     p,
		FlushInterval: -1, // every chunk at once
		BufferPool:    &buffers{},
		ErrorLog:      log.New(io.Discard, "", 0), // ErrorHandler has it
		ErrorHandler:  func(_ http.ResponseWriter, r *http.Request, err error) { exchangeOf(r).failure = err },
	}
	return p
}

// Close ends the connections to model servers that are kept, and goroutines.
func (p *Proxy) Close() {
	p.forwarder.close()
	p.stacks.Close()
}

// ServeHTTP implements http.Handler. An answer that breaks off, or is not given as its
// client is gone, panics with http.ErrAbortHandler, so that the client sees it end there.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{proxy: p, request: r, answer: answerWriter{ResponseWriter: w, connection: http.NewResponseController(w), http2: r.ProtoMajor == 2}}
	waits := false
	p.stacks.Do(func() { waits = x.begin() })
	if waits {
		refused := x.answer.session.Wait()
		p.stacks.Do(func() { x.finish(refused) })
	}
}

// checkTarget refuses requests that are not for a model server.
func checkTarget(r *http.Request) *refusal.Refusal {
	if _, refused := gateway.ReadPath(r.URL.EscapedPath()); refused != nil {
		return refused
	}
	if !strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, "/inference/v1/") {
		return &refusal.Refusal{
			Status: http.StatusNotFound, Code: "unknown_path",
			Message: fmt.Sprintf("no such path: %.200s; the API is under /v1/ and /inference/v1/", r.URL.Path),
		}
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace { // whose answers are none of the API, and name servers
		return &refusal.Refusal{
			Status: http.StatusNotImplemented, Code: "method_not_supported", Message: "this gateway does not pass on requests by " + r.Method,
		}
	}
	if upgrade := r.Header.Get("Upgrade"); upgrade != "" {
		if !strings.EqualFold(upgrade, "h2c") {
			return &refusal.Refusal{
				Status: http.StatusNotImplemented, Code: "upgrade_not_supported",
				Message: fmt.Sprintf("this gateway does not switch to another protocol (%.50q); send the request without the header Upgrade", upgrade),
			}
		}
		r.Header.Del("Upgrade") // an offer that some clients make with every request, and that may be passed over
	}
	return nil
}

// RoundTrip sends the request to the endpoint that suits it best, and to another as long as
// nothing of it was sent: one that brings a server down must not go from one to the next.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	s := exchangeOf(r).answer.session
	var last error
	for {
		if _, ok := s.Placement.Take(); !ok {
			if last == nil {
				return nil, gateway.NoEndpoints()
			}
			return nil, &refusal.Refusal{
				Status: http.StatusServiceUnavailable, Code: "upstream_unreachable", Reason: refusal.NoEndpoints,
				Message: "none of the pool's model servers could be reached",
			}
		}
		to, _ := s.Placement.Destination()
		res, err := p.send(s, r, to)
		if err == nil {
			return res, nil
		}
		if r.Context().Err() != nil || !errors.Is(err, errUnsent) {
			if r.Context().Err() == nil {
				s.Placement.Failed(metrics.BrokeOff)
			}
			return nil, fmt.Errorf("model server %s: %w", s.Placement.Slot().Address(), err)
		}
		s.Placement.Unreached(err)
		last = err
	}
}

// send sends the request to a server and returns its answer, whose usage is read on the
// way to the client.
func (p *Proxy) send(s *gateway.Session, r *http.Request, to *url.URL) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, to.Host
	s.Placement.Route(out.Header.Set)
	if len(s.Body.Bytes()) > 0 {
		out.Body = s.Body.Reader()
		out.GetBody = func() (io.ReadCloser, error) { return s.Body.Reader(), nil }
	}
	if s.Record().Traced() { // or the argument would be allocated for nothing
		s.Record().Upstream(out.Header.Set)
	}
	s.Watch.ExpectFirstByte()
	res, err := p.forwarder.send(out)
	if err != nil {
		s.Record().UpstreamFailed(err)
		return nil, err
	}
	s.Answer.From(res.Body)
	if res.StatusCode < http.StatusOK {
		return nil, fmt.Errorf("answered with status %03d, which ends no request", res.StatusCode)
	}
	s.Body.Drop()                    // no other server will be asked
	res.Header.Del(refusal.ByHeader) // only a gateway's own answers have it
	res.Body = &answerBody{session: s, of: res, ReadCloser: s.Respond(res.StatusCode, res.Header.Get("Content-Type"), res.Body)}
	return res, nil
}
