package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
)

// Why a session's context ended, beside its client having left.
var (
	errRevoked = errors.New("revoked for a request of higher priority")
	errStalled = errors.New("the request's body does not come")
)

// session is the life of one request under flow control, whichever way it came in.
//
//	open ──> admit ──> wait ──> place ──> respond ──> end
//	whose    what it   a slot   a slot    usage on    everything back,
//	it is    may cost  of the   at an     the way     the charge settled
//	                   pool     endpoint
//
// It is driven by one goroutine, which calls end once, however the request ends; steps
// that were not reached need nothing of it. Others end it by ending its context, whose
// cause says why.
type session struct {
	gateway *Gateway
	ctx     context.Context //nolint:containedctx // the session's life
	cancel  context.CancelCauseFunc

	flow       policies.FlowKey // as the request says; what it counts for is request.Flow
	in         inbound
	request    controller.Request
	dispatched bool
	entry      *flowEntry
	slot       *endpoints.Slot
	response   io.Closer // what the server still answers with; nil where Envoy holds it
	usage      *usageReader
	begun      atomic.Bool // the client has been answered something
	failure    error       // why there is no answer to pass on
}

// open begins a session: it finds out whose request it is, before anything else of it is
// read. The caller ends the session unless it was refused.
func (g *Gateway) open(ctx context.Context, h http.Header) (*session, *refusal) {
	flow, refused := g.tenants.Load().identify(h)
	if refused != nil {
		return nil, refused
	}
	s := &session{gateway: g, flow: flow}
	s.request.TargetTTFT = targetTTFT(h)
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s, nil
}

// admit works out, once the body is there, what the request may cost.
func (s *session) admit(method, path string) *refusal {
	if refused := s.in.check(method, path); refused != nil {
		return refused
	}
	flow, output, known := s.gateway.flows.admit(s.flow, s.gateway.tenants.Load().MaxFlows)
	if known && s.in.model != "" {
		s.in.expect(output)
	}
	s.request.Flow, s.request.Bytes = flow, int64(len(s.in.body))
	s.request.InputTokens, s.request.OutputTokens = s.in.inputTokens, s.in.outputTokens
	return nil
}

// wait waits until the request may go. From then on it holds a slot of the pool's limit,
// and its revocation ends it.
func (s *session) wait() *refusal {
	g := s.gateway
	if outcome, err := g.cfg.Controller.EnqueueAndWait(s.ctx, &s.request); err != nil {
		if s.ctx.Err() != nil {
			return s.ended()
		}
		return refusalOf(outcome)
	}
	s.dispatched, s.entry = true, g.flows.begin(s.request.Flow)
	if revoked := s.request.Revoked(); revoked != nil {
		go func() { // ends with ctx
			select {
			case <-revoked:
				g.cfg.Metrics.revoked(s.begun.Load())
				s.cancel(errRevoked)
			case <-s.ctx.Done():
			}
		}()
	}
	return nil
}

// place takes a slot at an endpoint, in place of the one held, and returns others to
// turn to. It reports false, and holds none, if no endpoint can be used.
func (s *session) place(q *endpoints.Query) (others []*endpoints.Endpoint, ok bool) {
	g := s.gateway
	q.Model, q.Prompt, q.Tokens = s.in.model, s.in.prompt, s.in.inputTokens+s.in.outputTokens
	q.Least, q.Fallbacks = s.request.LeastLoaded(), g.cfg.Fallbacks
	s.giveBack()
	if s.slot, others = g.endpoints.Take(q); s.slot == nil {
		return nil, false
	}
	g.cfg.Controller.Place(&s.request, s.slot.Address())
	return others, true
}

// moved notes that the request went to another endpoint than the one it was placed at,
// which could not be reached.
func (s *session) moved(to *endpoints.Endpoint, cause error) {
	first := s.slot
	s.slot = first.Move(to)
	s.gateway.cfg.Controller.Place(&s.request, to.Address())
	first.Unreachable(cause)
}

// unreached notes that the request's endpoint could not be connected to.
func (s *session) unreached(cause error) {
	s.slot.Unreachable(cause)
	s.slot = nil
}

// respond begins the answer: it is read for usage, and charged as it comes. The body is
// nil where Envoy passes it on.
func (s *session) respond(contentType string, body io.ReadCloser) *usageReader {
	if s.slot != nil {
		s.slot.Answered()
	}
	s.usage = newUsageReader(body, contentType, &s.in, func(u controller.Usage) {
		s.gateway.cfg.Controller.Progress(&s.request, u)
	})
	return s.usage
}

// ended is the answer to a request whose context ended.
func (s *session) ended() *refusal {
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, errRevoked):
		return evicted()
	case errors.Is(cause, errStalled):
		return &refusal{status: http.StatusRequestTimeout, code: "request_timeout", message: "the request's body took too long to come"}
	default:
		return refusalOf(controller.EvictedContextCancelled)
	}
}

// end gives back whatever the session holds and settles what the request cost.
func (s *session) end() {
	s.cancel(nil)
	if s.response != nil {
		_ = s.response.Close() // the connection's end is all that can come of it
	}
	s.giveBack()
	if !s.dispatched {
		return
	}
	usage := controller.Usage{}
	if s.usage != nil {
		s.usage.finish()
		usage = s.usage.usage
	}
	s.entry.end(usage)
	s.gateway.cfg.Controller.Release(&s.request, usage)
}

// giveBack returns the slot at an endpoint, if one is held.
func (s *session) giveBack() {
	if s.slot != nil {
		s.slot.Return()
		s.slot = nil
	}
}
