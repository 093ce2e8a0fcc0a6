package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/policies"
)

// errRevoked ends a session for the sake of another one.
var errRevoked = errors.New("revoked for a request of higher priority")

// Session is the life of one request under flow control, whichever way it came in.
//
//	Open ──> ReadBody ──> Admit ──> Wait ──> Place ──> Respond ──> End
//	whose    its body's   what it   a slot   a slot    usage on    everything back,
//	it is    memory       may cost  of the   at an     the way     the charge settled
//	                                pool     endpoint
//
// It is driven by one goroutine, which calls End once, however the request ends; steps
// that were not reached need nothing of it. Others end it by ending its context, whose
// cause says why.
type Session struct {
	gateway *Gateway
	pool    *Pool // nil until it is known
	record  *Record
	ctx     context.Context //nolint:containedctx // the session's life
	cancel  context.CancelCauseFunc
	memory  *budget.Part
	watch   watch

	caller caller
	asked  asked
	leave  leave
	place  placement
	answer answered
}

// caller is whose a request is.
type caller struct {
	flow  policies.FlowKey // as the request says; what it counts for is that of its leave
	keyed bool             // an API key said so
	token string           // what its client gave to go where an earlier request went
}

// asked is what a request asks for.
type asked struct {
	modelapi.Request
	header    http.Header        // until the pool is known
	profile   *endpoints.Profile // by which its endpoint is chosen, where requests say that; nil if it names none
	elsewhere bool               // another chooses its endpoint
	rewrite   string             // the model to ask for instead of the one in the body; empty for none
	renamed   bool               // the body asks for it
	timeouts  flows.Timeouts
}

// leave is a request's way through flow control.
type leave struct {
	controller.Request
	played *shadow.Play // beside a request that went at once; nil for none
	since  time.Time    // when it was dispatched; zero before
	entry  *flows.Entry // of its flow, from then on
}

// Open begins a session: it finds out whose request it is, before anything else of it is
// read. The caller ends the session unless it was refused.
func (g *Gateway) Open(ctx context.Context, h http.Header, r *Record) (*Session, *refusal.Refusal) {
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
	s := &Session{
		gateway: g, record: r,
		caller: caller{flow: r.flow, keyed: g.Keyed(), token: h.Get(SessionHeader)},
		asked:  asked{header: h, rewrite: rewrite, timeouts: flows.DefaultTimeouts()},
	}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if only := g.pools.Load().only; only != nil {
		s.enter(only)
	}
	l := &s.leave
	l.TargetTTFT, l.TTL, l.Name = headers.TargetTTFT(h), headers.TTL(h), r.id
	l.Trace = r.spans.Sampled()
	l.Request.End = s.cancel
	s.memory = g.budget.Open(id, func() { s.cancel(errMemory) })
	size := int64(sessionBytes)
	for name, values := range h {
		for _, value := range values {
			size += int64(len(name) + len(value))
		}
	}
	if refused := s.take(size); refused != nil {
		s.End()
		return nil, refused
	}
	return s, nil
}

// Context ends when the request is to end, and End ends it.
func (s *Session) Context() context.Context { return s.ctx }

// Record is what is told of the request.
func (s *Session) Record() *Record { return s.record }

// Pool is the pool that the request is for; nil until that is known.
func (s *Session) Pool() *Pool { return s.pool }

// Timeouts are how long it may hold its slots.
func (s *Session) Timeouts() *flows.Timeouts { return &s.asked.timeouts }

// enter takes in which pool the request is for, and so what holds for its flow there.
func (s *Session) enter(p *Pool) {
	r, rules, flow := s.record, p.rules.Load(), &s.caller.flow
	s.pool, r.pool = p, p
	p.attendance.enter(s)
	if choice := p.cfg.Endpoints.Profile.Choice; choice != nil {
		s.asked.profile = choice.Of(strings.TrimSpace(s.asked.header.Get(choice.Header)))
	}
	s.asked.header = nil
	var undeclared bool
	if flow.Priority, undeclared = rules.PriorityOf(flow.ID, r.objective); undeclared {
		p.cfg.Metrics.Undeclared()
		r.warn(p.undeclared.Note(p.cfg.Logger, r.objective, flow.Priority))
	}
	r.flow = *flow
	s.asked.timeouts = rules.TimeoutsOf(flow.ID, r.objective)
}

// Admit works out, once the body is there, what the request may cost.
func (s *Session) Admit(method, path string) *refusal.Refusal {
	if !s.asked.elsewhere {
		if refused := s.renameByHeader(method, path); refused != nil {
			return refused
		}
	}
	refused := s.asked.Read(method, path)
	if s.pool == nil && refused == nil {
		refused = s.enterByModel()
	}
	if refused == nil {
		refused = s.renameByRule(method, path)
	}
	p := s.pool
	if refused == nil && s.asked.profile == nil && p.cfg.Endpoints.Profile.Choice != nil {
		refused = unknownProfile(p.cfg.Endpoints.Profile.Choice)
	}
	if refused != nil && (p == nil || !p.shadow.On()) {
		return refused
	}
	rules := p.rules.Load()
	s.asked.CachedWeight = *rules.CachedTokenWeight
	flow := p.flows.Admit(s.caller.flow, s.rule(), rules)
	if flow.First {
		p.cfg.Metrics.FreshFlow()
	}
	p.fresh.Note(p.cfg.Logger, rules, flow.First)
	if flow.Known {
		s.asked.Expect(flow.Output)
	}
	l := &s.leave
	l.Flow, l.Sharer, l.Bytes = flow.Flow, flow.Sharer, int64(len(s.asked.Body))
	l.Name, s.record.flow, s.record.model = s.record.id, flow.Flow, told(s.asked.Model)
	l.InputTokens, l.OutputTokens = s.asked.InputTokens, s.asked.OutputTokens
	return nil
}

// rule is which setting holds for the request's flow.
func (s *Session) rule() string {
	return s.pool.rules.Load().RuleOf(s.caller.flow.ID, s.caller.keyed)
}

// Wait waits until the request may go. From then on it holds a slot of the pool's limit,
// and its revocation ends it.
func (s *Session) Wait() *refusal.Refusal {
	p := s.pool
	if p.shadow.On() {
		s.goAtOnce()
		return nil
	}
	stop := context.AfterFunc(p.readings.refusing(), func() { s.cancel(errBlind) })
	defer stop()
	s.record.enqueued = time.Now()
	_, err := p.cfg.Controller.EnqueueAndWait(s.ctx, &s.leave.Request)
	s.record.waited = time.Since(s.record.enqueued)
	s.record.owner, s.record.obstacle = s.leave.Waited()
	if err != nil {
		if s.ctx.Err() != nil {
			return s.Ended()
		}
		return s.refuse(err)
	}
	s.record.charge, s.record.byFloat = s.leave.Charge(), s.leave.ByFloat()
	s.dispatched(s.record.enqueued.Add(s.record.waited))
	if revoked := s.leave.Revoked(); revoked != nil {
		go func() { // ends with ctx
			select {
			case <-revoked:
				p.cfg.Metrics.Revoked(s.answer.begun.Load())
				s.cancel(errRevoked)
			case <-s.ctx.Done():
			}
		}()
	}
	return nil
}

// goAtOnce lets the request go, and has its wait played beside it.
func (s *Session) goAtOnce() {
	s.dispatched(time.Now())
	r := &s.leave.Request
	s.leave.played = s.pool.shadow.Begin(&controller.Request{
		Flow: r.Flow, Sharer: r.Sharer, Name: r.Name, Bytes: r.Bytes, InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, TTL: r.TTL, TargetTTFT: r.TargetTTFT,
	})
}

// dispatched notes that the request may go.
func (s *Session) dispatched(at time.Time) {
	s.memory.Keep()
	s.watch.start(s)
	s.leave.since, s.leave.entry = at, s.pool.flows.Begin(s.leave.Flow, s.rule())
}

// over is the bound that the request went beyond, or nil.
func (s *Session) over() (b *bound) {
	if s.answer.untaken {
		return errClientStalled // by which the connection, and so the context, ended before it could be told
	}
	errors.As(context.Cause(s.ctx), &b)
	return b
}

// Ended is the answer to a request whose context ended.
func (s *Session) Ended() *refusal.Refusal {
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
	return ClientGone()
}

// End gives back whatever the session holds and settles what the request cost.
func (s *Session) End() {
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
	if s.answer.from != nil {
		_ = s.answer.from.Close() // the connection's end is all that can come of it
	}
	if over != nil && over.endpoint && s.place.slot != nil {
		s.Unreached(over)
	}
	s.place.giveBack()
	s.place.goneThrough()
	if s.leave.since.IsZero() {
		return
	}
	held := max(time.Since(s.leave.since), 1)
	s.record.held = held
	usage := s.cost(over, held)
	s.pool.drain.learn(held)
	served := flows.Served{Charged: usage, Held: held}
	if t := &s.record.tokens; t.Known {
		served.Counted, served.TokensIn, served.TokensCached, served.TokensOut = true, t.In, t.Cached, t.Out
	}
	s.leave.entry.End(&served)
	if tell := s.pool.cfg.Served; tell != nil {
		tell(s.leave.Flow, served)
	}
	s.pool.cfg.Controller.Release(&s.leave.Request, usage)
	s.leave.played.Finish(usage, held)
}

// cost is what the request cost that held its slot so long: as its server says, or else what
// its time did, and no less than was estimated. What the server is at fault for stays at the estimate.
func (s *Session) cost(over *bound, held time.Duration) controller.Usage {
	usage := controller.Usage{}
	if a := s.answer.usage; a != nil {
		a.Finish()
		usage, s.record.tokens = a.Usage(), a.Tokens()
	}
	switch {
	case usage.Known && s.asked.Counted:
		s.pool.pace.learn(usage, held)
		return usage
	case usage.Known && s.answer.usage.Reported() || over != nil && over.endpoint:
		return usage
	}
	price := s.pool.pace.price(held)
	price.InputTokens = max(price.InputTokens, s.asked.InputTokens)
	if s.asked.Counted {
		price.OutputTokens = max(price.OutputTokens, s.asked.OutputTokens)
	}
	return price
}
