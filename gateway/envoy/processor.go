// Package envoy is the gateway's door for Envoy: by external processing, it says when a request
// may go and to which endpoint, and Envoy forwards.
package envoy

import (
	"errors"
	"fmt"
	"io"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/refusal"
)

// Config describes how requests are taken from Envoy.
type Config struct {
	// BodyTimeout is how long a request may take to come; 1 minute by default.
	BodyTimeout time.Duration
	// Fallbacks is how many further endpoints are named to Envoy, for when the one
	// picked cannot be reached; none by default. Envoy's override_host policy takes
	// several endpoints; a cluster of type ORIGINAL_DST takes one.
	Fallbacks int
	// Delegation has another Endpoint Picker choose the endpoints of requests; nil for none.
	Delegation *Delegation
	// AdmissionOnly lets requests go wherever Envoy sends them: no endpoint is named.
	AdmissionOnly bool
	// PoolHeader and PoolAttribute name the pool of a request, where there are several: a
	// header that Envoy sets, and an attribute that it sends; empty for neither. The header
	// comes first, and without a value the model says it.
	PoolHeader, PoolAttribute string
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Processor is an external processor of Envoy (envoy.service.ext_proc.v3), for filters that
// send both headers, both bodies FULL_DUPLEX_STREAMED and trailers. Envoy holds the
// connections and forwards; here a request waits until it may go and gets its endpoint.
type Processor struct {
	extproc.UnimplementedExternalProcessorServer
	gateway *gateway.Gateway
	cfg     Config
}

// New returns the external processor of a gateway.
func New(g *gateway.Gateway, cfg Config) *Processor {
	if cfg.BodyTimeout <= 0 {
		cfg.BodyTimeout = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if d := cfg.Delegation; d != nil && d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	return &Processor{gateway: g, cfg: cfg}
}

// Register registers the service.
func (p *Processor) Register(s grpc.ServiceRegistrar) { extproc.RegisterExternalProcessorServer(s, p) }

// Process implements the service: one stream is one HTTP request.
func (p *Processor) Process(from extproc.ExternalProcessor_ProcessServer) error {
	x := &stream{gateway: p.gateway, cfg: &p.cfg, stream: from, opened: make(chan struct{})}
	if err := x.attend(); err != nil || x.over {
		return err
	}
	return x.proceed(x.session.Wait())
}

// proceed takes the stream from the end of the request's wait to its own.
func (x *stream) proceed(refused *refusal.Refusal) error {
	err := x.forward(refused)
	if err != nil {
		err = x.fail(err)
	}
	if x.over {
		x.finish()
		return err
	}
	return x.attend()
}

// attend takes messages until the request is to wait or the stream is over. A goroutine of its
// own takes them, since the stream may have to end while none comes. What a message is needs
// more of stack than a stream's goroutine has at first, which keeps what it has had: so there is
// nothing but the wait for it to do until the request may go, and there is no other meanwhile.
func (x *stream) attend() error {
	served, opening := make(chan error, 1), x.session == nil
	go func() { served <- x.serve() }() // ends with the stream
	if opening {
		silence := time.NewTimer(x.cfg.BodyTimeout)
		defer silence.Stop()
		select {
		case err := <-served:
			return err
		case <-silence.C:
			return x.interrupt(served, func() error {
				x.gateway.NothingCame(&x.record)
				return status.Error(codes.DeadlineExceeded, "the stream says nothing of its request")
			})
		case <-x.opened:
		}
	}
	select {
	case err := <-served:
		return err
	case <-x.session.Context().Done():
		return x.interrupt(served, func() error { return x.fail(x.session.Ended()) })
	}
}

// serve takes messages, one after the other.
func (x *stream) serve() error {
	for {
		m, err := x.stream.Recv()
		if last, err := x.next(m, err); last {
			return err
		}
	}
}

// next takes what was received, and reports whether the request is whole or the stream over
// with it.
func (x *stream) next(m *extproc.ProcessingRequest, err error) (last bool, _ error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.over: // it was interrupted
		return true, nil
	case errors.Is(err, io.EOF):
		x.over, err = true, nil
	case err != nil:
		x.over = true
	default:
		if err = x.take(m); err != nil {
			err = x.fail(err)
		}
	}
	if x.over {
		x.finish()
	}
	return x.over || x.phase == waiting, err
}

// interrupt ends the stream from outside, and returns with what; or with what it was served,
// if it is over already.
func (x *stream) interrupt(served <-chan error, with func() error) error {
	x.mu.Lock()
	if x.over {
		x.mu.Unlock()
		return <-served
	}
	defer x.mu.Unlock()
	x.over = true
	err := with()
	x.finish()
	return err
}

// fail ends the stream: with the answer that a refusal asks for, or by an error
// for a peer that does not keep to the protocol.
func (x *stream) fail(err error) error {
	x.over = true
	var refused *refusal.Refusal
	if errors.As(err, &refused) {
		x.record.Refuse(refused.Code)
		if x.status == 0 {
			x.status = refused.Status
		}
	}
	switch {
	case refused != nil && refused.Status == refusal.StatusClientGone:
		return status.Error(codes.Canceled, refused.Message)
	case refused != nil:
		return x.stream.Send(immediate(&x.record, refused))
	case errors.Is(err, errProtocol):
		x.cfg.Logger.Warn("an external processing stream does not keep to the protocol", zap.Error(err))
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return err
}

// errProtocol wraps violations of the protocol by Envoy.
var errProtocol = errors.New("external processing")

func unexpected(what string, at phase) error {
	return fmt.Errorf("%w: %s while %s", errProtocol, what, at)
}
