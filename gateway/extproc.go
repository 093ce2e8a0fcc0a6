package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	x := &envoyStream{gateway: p.gateway, stream: stream}
	defer x.finish()
	messages := receive(ctx, stream)
	silence := time.NewTimer(p.gateway.cfg.BodyTimeout) // until the request's headers
	defer silence.Stop()
	for !x.over {
		var in received
		select {
		case <-silence.C:
			p.gateway.cfg.Metrics.overBound(errStalled.name)
			return status.Error(codes.DeadlineExceeded, "the stream says nothing of its request")
		case in = <-messages:
			silence.Stop()
		case <-x.ended():
			return x.fail(x.session.ended())
		}
		switch {
		case errors.Is(in.err, io.EOF):
			return nil
		case in.err != nil:
			return in.err
		}
		if err := x.take(in.message); err != nil {
			return x.fail(err)
		}
	}
	return nil
}

// received is what came by a stream.
type received struct {
	message *extproc.ProcessingRequest
	err     error
}

// receive receives in a goroutine of its own, since the stream may have to end while
// nothing comes.
func receive(ctx context.Context, stream extproc.ExternalProcessor_ProcessServer) <-chan received {
	messages := make(chan received)
	go func() { // ends with ctx, or with the stream
		for {
			m, err := stream.Recv()
			select {
			case messages <- received{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return messages
}

// ended is closed when the session is to end; nil while there is none.
func (x *envoyStream) ended() <-chan struct{} {
	if x.session == nil {
		return nil
	}
	return x.session.ctx.Done()
}

// fail ends the stream: with the answer that a refusal asks for, or by an error
// for a peer that does not keep to the protocol.
func (x *envoyStream) fail(err error) error {
	x.over = true
	var refused *refusal
	if errors.As(err, &refused) {
		x.record.reason = refused.code
		if x.status == 0 {
			x.status = refused.status
		}
	}
	switch {
	case refused != nil && refused.status == statusClientGone:
		return status.Error(codes.Canceled, refused.message)
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
