package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/policies"
)

// errRevoked ends a session for the sake of another one.
var errRevoked = errors.New("revoked for a request of higher priority")

// session is the life of one request under flow control, whichever way it came in.
//
//	open ──> reserve ──> admit ──> wait ──> place ──> respond ──> end
//	whose    its body's  what it   a slot   a slot    usage on    everything back,
//	it is    memory      may cost  of the   at an     the way     the charge settled
//	                               pool     endpoint
//
// It is driven by one goroutine, which calls end once, however the request ends; steps
// that were not reached need nothing of it. Others end it by ending its context, whose
// cause says why.
type session struct {
	gateway *Gateway
	pool    *Pool // nil until it is known
	record  *record
	ctx     context.Context //nolint:containedctx // the session's life
	cancel  context.CancelCauseFunc

	flow       policies.FlowKey   // as the request says; what it counts for is request.Flow
	keyed      bool               // an API key said whose it is
	before     string             // what its client gave to go where an earlier request went
	header     http.Header        // until the pool is known
	profile    *endpoints.Profile // by which its endpoint is chosen, where requests say that; nil if it names none
	elsewhere  bool               // another chooses its endpoint
	rewrite    string             // the model to ask for instead of the one in the body, where this replica chooses the endpoint; empty for none
	timeouts   flows.Timeouts
	watch      watch
	memory     *budget.Part // of the budget
	in         modelapi.Request
	query      endpoints.Query // for an endpoint
	request    controller.Request
	played     *shadow.Play // beside a request that went at once; nil for none
	dispatched time.Time    // zero before it was
	entry      *flows.Entry
	slot       *endpoints.Slot
	staged     []endpoints.Staged // where it goes before it is answered, until it is
	response   io.Closer          // what the server still answers with; nil where Envoy holds it
	usage      *modelapi.Answer
	begun      atomic.Bool // the client has been answered something
	failure    error       // why there is no answer to pass on
	whole      bool        // the server's answer came to its end
	broke      bool        // it broke off
	stalled    bool        // the client takes nothing of it
}

// open begins a session: it finds out whose request it is, before anything else of it is
// read. The caller ends the session unless it was refused.
func (g *Gateway) open(ctx context.Context, h http.Header, r *record) (*session, *refusal.Refusal) {
	id, refused := g.keys.Load().Identify(h)
	if refused != nil {
		return nil, refused
	}
	r.follow(g.cfg.Tracing, h)
	r.flow.ID, r.objective = id, headers.ObjectiveOf(h)
	rewrite, refused := headers.RewriteOf(h)
	if refused != nil {
		return nil, refused
	}
	s := &session{gateway: g, record: r, flow: r.flow, keyed: g.keyed(), rewrite: rewrite, before: h.Get(SessionHeader), header: h, timeouts: flows.DefaultTimeouts()}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if only := g.pools.Load().only; only != nil {
		s.enter(only)
	}
	s.request.TargetTTFT, s.request.TTL, s.request.Name = headers.TargetTTFT(h), headers.TTL(h), r.id
	s.request.Trace = r.spans.Sampled()
	s.request.End = s.cancel
	s.memory = g.budget.Open(id, func() { s.cancel(errMemory) })
	size := int64(sessionBytes)
	for name, values := range h {
		for _, value := range values {
			size += int64(len(name) + len(value))
		}
	}
	if refused := s.take(size); refused != nil {
		s.end()
		return nil, refused
	}
	return s, nil
}

// enter takes in which pool the request is for, and so what holds for its flow there.
func (s *session) enter(p *Pool) {
	r, rules := s.record, p.rules.Load()
	s.pool, r.pool = p, p
	p.attendance.enter(s)
	if choice := p.cfg.Endpoints.Profile.Choice; choice != nil {
		s.profile = choice.Of(strings.TrimSpace(s.header.Get(choice.Header)))
	}
	s.header = nil
	var undeclared bool
	if s.flow.Priority, undeclared = rules.PriorityOf(s.flow.ID, r.objective); undeclared {
		p.cfg.Metrics.Undeclared()
		r.warn(p.undeclared.Note(p.cfg.Logger, r.objective, s.flow.Priority))
	}
	r.flow = s.flow
	s.timeouts = rules.TimeoutsOf(s.flow.ID, r.objective)
}

// admit works out, once the body is there, what the request may cost.
func (s *session) admit(method, path string) *refusal.Refusal {
	if s.rewrite != "" && modelapi.NamesModel(method, path) {
		if refused := s.rename(); refused != nil {
			return refused
		}
	}
	refused := s.in.Read(method, path)
	if s.pool == nil && refused == nil {
		refused = s.find()
	}
	if refused == nil {
		refused = s.renameByRule(method, path)
	}
	p := s.pool
	if refused == nil && s.profile == nil && p.cfg.Endpoints.Profile.Choice != nil {
		refused = unknownProfile(p.cfg.Endpoints.Profile.Choice)
	}
	if refused != nil && (p == nil || !p.shadow.On()) {
		return refused
	}
	rules := p.rules.Load()
	s.in.CachedWeight = *rules.CachedTokenWeight
	flow := p.flows.Admit(s.flow, s.rule(), rules)
	if flow.First {
		p.cfg.Metrics.FreshFlow()
	}
	p.fresh.Note(p.cfg.Logger, rules, flow.First)
	if flow.Known {
		s.in.Expect(flow.Output)
	}
	s.request.Flow, s.request.Sharer, s.request.Bytes = flow.Flow, flow.Sharer, int64(len(s.in.Body))
	s.request.Name, s.record.flow, s.record.model = s.record.id, flow.Flow, told(s.in.Model)
	s.request.InputTokens, s.request.OutputTokens = s.in.InputTokens, s.in.OutputTokens
	return nil
}

// rule is which setting holds for the request's flow.
func (s *session) rule() string { return s.pool.rules.Load().RuleOf(s.flow.ID, s.keyed) }

// wait waits until the request may go. From then on it holds a slot of the pool's limit,
// and its revocation ends it.
func (s *session) wait() *refusal.Refusal {
	p := s.pool
	if p.shadow.On() {
		s.goAtOnce()
		return nil
	}
	stop := context.AfterFunc(p.readings.refusing(), func() { s.cancel(errBlind) })
	defer stop()
	s.record.enqueued = time.Now()
	_, err := p.cfg.Controller.EnqueueAndWait(s.ctx, &s.request)
	s.record.waited = time.Since(s.record.enqueued)
	s.record.owner, s.record.obstacle = s.request.Waited()
	if err != nil {
		if s.ctx.Err() != nil {
			return s.ended()
		}
		return s.refuse(err)
	}
	s.record.charge, s.record.byFloat = s.request.Charge(), s.request.ByFloat()
	s.memory.Keep()
	s.watch.start(s)
	s.dispatched, s.entry = s.record.enqueued.Add(s.record.waited), p.flows.Begin(s.request.Flow, s.rule())
	if revoked := s.request.Revoked(); revoked != nil {
		go func() { // ends with ctx
			select {
			case <-revoked:
				p.cfg.Metrics.Revoked(s.begun.Load())
				s.cancel(errRevoked)
			case <-s.ctx.Done():
			}
		}()
	}
	return nil
}

// goAtOnce lets the request go, and has its wait played beside it.
func (s *session) goAtOnce() {
	s.memory.Keep()
	s.watch.start(s)
	s.dispatched, s.entry = time.Now(), s.pool.flows.Begin(s.request.Flow, s.rule())
	r := &s.request
	s.played = s.pool.shadow.Begin(&controller.Request{
		Flow: r.Flow, Sharer: r.Sharer, Name: r.Name, Bytes: r.Bytes, InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, TTL: r.TTL, TargetTTFT: r.TargetTTFT,
	})
}

// failureOf is the kind of a failure for which an endpoint is to be left.
func failureOf(cause error) metrics.Failure {
	switch {
	case errors.Is(cause, errFirstByte):
		return metrics.NoAnswer
	case errors.Is(cause, errBetweenBytes):
		return metrics.Stalled
	}
	return metrics.Unreachable
}

// respond begins the answer: it is read for usage, and charged as it comes. The body is
// nil where Envoy passes it on.
func (s *session) respond(status int, contentType string, body io.ReadCloser) *modelapi.Answer {
	s.record.responded = time.Now()
	if status >= 500 {
		s.pool.cfg.Metrics.UpstreamFailed(s.record.endpoint, metrics.Status5xx)
	}
	s.goneThrough()
	if s.slot != nil {
		s.slot.Answered()
	}
	s.usage = modelapi.NewAnswer(body, contentType, &s.in, func(u controller.Usage) {
		s.pool.cfg.Controller.Progress(&s.request, u)
	})
	return s.usage
}

// breakOff notes that the server's answer broke off, unless it is this side that ended it.
func (s *session) breakOff() {
	if s.broke || s.ctx.Err() != nil {
		return
	}
	s.broke = true
	s.pool.cfg.Metrics.UpstreamFailed(s.record.endpoint, metrics.BrokeOff)
}

// over is the bound that the request went beyond, or nil.
func (s *session) over() (b *bound) {
	if s.stalled {
		return errClientStalled // by which the connection, and so the context, ended before it could be told
	}
	errors.As(context.Cause(s.ctx), &b)
	return b
}

// ended is the answer to a request whose context ended.
func (s *session) ended() *refusal.Refusal {
	if over := s.over(); over != nil {
		return &over.refusal
	}
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, errRevoked):
		return s.evicted()
	case errors.Is(cause, controller.ErrEvicted):
		return evictedByOperator()
	case errors.Is(cause, errBlind):
		return unreadable()
	case errors.Is(cause, errCut):
		return poolGivenUp()
	}
	return clientGone()
}

// end gives back whatever the session holds and settles what the request cost.
func (s *session) end() {
	if s.pool != nil {
		defer s.pool.attendance.leave(s)
	}
	s.watch.stop()
	over := s.over()
	if over != nil {
		s.gateway.overBound(s.pool, over)
	}
	if s.record.reason == "" {
		s.record.reason = s.cutOff(over)
	}
	s.cancel(nil)
	defer s.memory.Close()
	if s.response != nil {
		_ = s.response.Close() // the connection's end is all that can come of it
	}
	if over != nil && over.endpoint && s.slot != nil {
		s.unreached(over)
	}
	s.giveBack()
	s.goneThrough()
	if s.dispatched.IsZero() {
		return
	}
	held := max(time.Since(s.dispatched), 1)
	s.record.held = held
	usage := s.cost(over, held)
	s.pool.drain.learn(held)
	served := flows.Served{Charged: usage, Held: held}
	if t := &s.record.tokens; t.Known {
		served.Counted, served.TokensIn, served.TokensCached, served.TokensOut = true, t.In, t.Cached, t.Out
	}
	s.entry.End(&served)
	if tell := s.pool.cfg.Served; tell != nil {
		tell(s.request.Flow, served)
	}
	s.pool.cfg.Controller.Release(&s.request, usage)
	s.played.Finish(usage, held)
}

// cutOff is why an answer that had begun broke off; empty if it did not.
func (s *session) cutOff(over *bound) string {
	switch {
	case !s.begun.Load() || s.whole && over == nil:
		return ""
	case over != nil:
		return over.refusal.Code
	case s.ctx.Err() != nil:
		return s.ended().Code
	case s.broke:
		return upstreamFailed().Code
	}
	return ""
}

// cost is what the request cost that held its slot so long: as its server says, or else what
// its time did, and no less than was estimated. What the server is at fault for stays at the estimate.
func (s *session) cost(over *bound, held time.Duration) controller.Usage {
	usage := controller.Usage{}
	if s.usage != nil {
		s.usage.Finish()
		usage, s.record.tokens = s.usage.Usage(), s.usage.Tokens()
	}
	switch {
	case usage.Known && s.in.Counted:
		s.pool.pace.learn(usage, held)
		return usage
	case usage.Known && s.usage.Reported() || over != nil && over.endpoint:
		return usage
	}
	price := s.pool.pace.price(held)
	price.InputTokens = max(price.InputTokens, s.in.InputTokens)
	if s.in.Counted {
		price.OutputTokens = max(price.OutputTokens, s.in.OutputTokens)
	}
	return price
}
