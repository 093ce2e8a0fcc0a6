package gateway

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

	"github.com/weirflow/weir/gateway/refusal"
)

// ExtProc is the gateway as an external processor of Envoy
// (envoy.service.ext_proc.v3), for filters that send both headers, both bodies
// FULL_DUPLEX_STREAMED and trailers. Envoy holds the connections and forwards; here a
// request waits until it may go and gets its endpoint.
type ExtProc struct {
	extproc.UnimplementedExternalProcessorServer
	gateway *Gateway
}

// NewExtProc returns the external processor of a gateway.
func NewExtProc(g *Gateway) *ExtProc { return &ExtProc{gateway: g} }

// Register registers the service.
func (p *ExtProc) Register(s *grpc.Server) { extproc.RegisterExternalProcessorServer(s, p) }

// Process implements the service: one stream is one HTTP request.
func (p *ExtProc) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	x := &envoyStream{gateway: p.gateway, stream: stream, opened: make(chan struct{})}
	if err := x.attend(); err != nil || x.over {
		return err
	}
	err := x.forward()
	if err == nil && x.phase == granted {
		err = x.relay()
	}
	if err != nil {
		err = x.fail(err)
	}
	if x.over {
		x.finish()
		return err
	}
	return x.attend()
}

// attend takes messages until the request is whole or the stream is over. A goroutine of its
// own takes them, since the stream may have to end while none comes; there is none while the
// request waits.
func (x *envoyStream) attend() error {
	served, opening := make(chan error, 1), x.session == nil
	go func() { served <- x.serve() }() // ends with the stream
	if opening {
		silence := time.NewTimer(x.gateway.cfg.BodyTimeout)
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
func (x *envoyStream) serve() error {
	for {
		m, err := x.stream.Recv()
		if last, err := x.next(m, err); last {
			return err
		}
	}
}

// next takes what was received, and reports whether the request is whole or the stream over
// with it.
func (x *envoyStream) next(m *extproc.ProcessingRequest, err error) (last bool, _ error) {
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
func (x *envoyStream) interrupt(served <-chan error, with func() error) error {
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
func (x *envoyStream) fail(err error) error {
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
		x.gateway.cfg.Logger.Warn("an external processing stream does not keep to the protocol", zap.Error(err))
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return err
}

// errProtocol wraps violations of the protocol by Envoy.
var errProtocol = errors.New("external processing")

func unexpected(what string, at phase) error {
	return fmt.Errorf("%w: %s while %s", errProtocol, what, at)
}
