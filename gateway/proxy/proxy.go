// Package proxy is the gateway's door by HTTP: a reverse proxy for the APIs of model servers.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/refusal"
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
}

// exchangeKey is the context key of the exchange of a request.
type exchangeKey struct{}

// exchange is a session on its way to an endpoint.
type exchange struct {
	session *gateway.Session
	failure error // why there is no answer to pass on
}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

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
	p := &Proxy{gateway: g, cfg: cfg, forwarder: newForwarder(&net.Dialer{Timeout: cfg.DialTimeout, KeepAlive: 30 * time.Second})}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetXForwarded()
			headers.Strip(pr.Out.Header)
		},
		Transport:     p,
		FlushInterval: -1, // every chunk at once
		BufferPool:    &buffers{},
		ErrorLog:      log.New(io.Discard, "", 0), // ErrorHandler has it
		ErrorHandler:  func(_ http.ResponseWriter, r *http.Request, err error) { exchangeOf(r).failure = err },
	}
	return p
}

// Close ends the connections to model servers that are kept.
func (p *Proxy) Close() { p.forwarder.close() }

// ServeHTTP implements http.Handler. An answer that breaks off, or is not given as its
// client is gone, panics with http.ErrAbortHandler, so that the client sees it end there.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &answerWriter{ResponseWriter: w, connection: http.NewResponseController(w)}
	p.gateway.Begin(&answer.record, r.Method, r.URL.Path, r.Header)
	_ = answer.connection.SetWriteDeadline(time.Time{}) // the one before may have left its own
	defer func() { p.gateway.Over(&answer.record, answer.code) }()
	err := p.serve(answer, r)
	if err == nil {
		return
	}
	var refused *refusal.Refusal
	if !errors.As(err, &refused) {
		// Where the server is, and what it said, is not for clients.
		p.cfg.Logger.Warn("a model server failed before it answered", zap.Error(err))
		refused = gateway.UpstreamFailed()
	}
	answer.record.Refuse(refused.Code)
	if refused.Status == refusal.StatusClientGone {
		answer.code = refusal.StatusClientGone
		panic(http.ErrAbortHandler) // or net/http would answer 200, which one that only closed its sending side reads
	}
	refused.Write(answer)
}

// serve takes the request through its session. The error is about a request of which
// nothing has been answered.
func (p *Proxy) serve(w *answerWriter, r *http.Request) error {
	if r.ContentLength != 0 { // or net/http waits for the body of a request that is refused
		w.Header().Set("Connection", "close")
	}
	if refused := checkTarget(r); refused != nil {
		return refused
	}
	s, refused := p.gateway.Open(r.Context(), r.Header, &w.record)
	if refused != nil {
		return refused
	}
	defer s.End() // also when the copying panics
	w.session = s
	if models, asked, refused := p.gateway.AnswerModels(r.Method, r.URL.Path); refused != nil {
		return refused
	} else if asked {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(models) // the client may be gone
		return nil
	}
	if err := p.readBody(s, w, r); err != nil {
		return err
	}
	if refused := s.Admit(r.Method, r.URL.Path); refused != nil {
		return refused
	}
	s.Prefer()
	if refused := s.Wait(); refused != nil {
		return refused
	}
	x := &exchange{session: s}
	out := r.WithContext(context.WithValue(s.Context(), exchangeKey{}, x))
	out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, int64(len(s.Body())), nil // send has the body
	p.reverse.ServeHTTP(w, out)
	if x.failure != nil && s.Context().Err() != nil {
		return s.Ended()
	}
	return x.failure
}

// checkTarget refuses requests that are not for a model server.
func checkTarget(r *http.Request) *refusal.Refusal {
	if refused := gateway.CheckPath(r.URL.EscapedPath()); refused != nil {
		return refused
	}
	if !strings.HasPrefix(r.URL.Path, "/v1/") && !strings.HasPrefix(r.URL.Path, "/inference/v1/") {
		return &refusal.Refusal{
			Status: http.StatusNotFound, Code: "unknown_path",
			Message: fmt.Sprintf("no such path: %.200s; the API is under /v1/ and /inference/v1/", r.URL.Path),
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

// readBody reads the request's body, once.
func (p *Proxy) readBody(s *gateway.Session, w *answerWriter, r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	reading := w.connection
	_ = reading.SetReadDeadline(time.Now().Add(p.cfg.BodyTimeout)) // where there is no deadline to set, there is none
	stop := context.AfterFunc(s.Context(), func() { _ = reading.SetReadDeadline(time.Now()) })
	err := s.ReadBody(r.Body, r.ContentLength)
	if stop() {
		_ = reading.SetReadDeadline(time.Time{})
	}
	if err != nil {
		return p.unreadable(s, err)
	}
	w.Header().Del("Connection")
	return nil
}

// unreadable is the answer to a request whose body could not be read.
func (p *Proxy) unreadable(s *gateway.Session, err error) *refusal.Refusal {
	var refused *refusal.Refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case s.Context().Err() != nil:
		return s.Ended()
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.BodyStalled()
		return s.Ended()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return gateway.ClientGone()
	}
	return refusal.BadRequest("unreadable_body", "the request's body could not be read: "+err.Error())
}

// RoundTrip sends the request to the endpoint that suits it best, and to another as long as
// nothing of it was sent: one that brings a server down must not go from one to the next.
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	s := exchangeOf(r).session
	var last error
	for {
		if _, ok := s.Place(); !ok {
			if last == nil {
				return nil, gateway.NoEndpoints()
			}
			return nil, &refusal.Refusal{
				Status: http.StatusServiceUnavailable, Code: "upstream_unreachable", Reason: refusal.NoEndpoints,
				Message: "none of the pool's model servers could be reached",
			}
		}
		res, err := p.send(s, r, s.Slot().URL())
		if err == nil {
			return res, nil
		}
		if r.Context().Err() != nil || !errors.Is(err, errUnsent) {
			if r.Context().Err() == nil {
				s.Failed(metrics.BrokeOff)
			}
			return nil, fmt.Errorf("model server %s: %w", s.Slot().Address(), err)
		}
		s.Unreached(err)
		last = err
	}
}

// send sends the request to a server and returns its answer, whose usage is read on the
// way to the client.
func (p *Proxy) send(s *gateway.Session, r *http.Request, to *url.URL) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, to.Host
	s.Stages(out.Header.Set)
	if len(s.Body()) > 0 {
		out.Body = s.BodyReader()
		out.GetBody = func() (io.ReadCloser, error) { return s.BodyReader(), nil }
	}
	if s.Record().Traced() { // or the argument would be allocated for nothing
		s.Record().Upstream(out.Header.Set)
	}
	s.ExpectFirstByte()
	res, err := p.forwarder.send(out)
	if err != nil {
		s.Record().UpstreamFailed(err)
		return nil, err
	}
	s.AnsweredBy(res.Body)
	if res.StatusCode < http.StatusOK {
		return nil, fmt.Errorf("answered with status %03d, which ends no request", res.StatusCode)
	}
	s.DropBody() // no other server will be asked
	res.Body = &answerBody{session: s, ReadCloser: s.Respond(res.StatusCode, res.Header.Get("Content-Type"), res.Body)}
	return res, nil
}
