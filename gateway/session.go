package gateway

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/policies"
)

// Session is the life of one request under flow control, whichever way it came in.
//
//	Open ──> Body.Read ──> Admit ──> Wait ──> Placement.Take ──> Respond ──> End
//	whose    its body's    what it   a slot   a slot             usage on    everything back,
//	it is    memory        may cost  of the   at an              the way     the charge settled
//	                                 pool     endpoint
//
// It is driven by one goroutine, which calls End once, however the request ends; steps
// that were not reached need nothing of it. Others end it by ending its context, whose
// cause says why.
type Session struct {
	Body      Body      // what came, and the memory that it takes
	Placement Placement // the endpoints that it goes to
	Answer    Answer    // what came back
	Watch     Watch     // how long its server and its client may take

	gateway *Gateway
	pool    *Pool // nil until it is known
	record  *Record
	life    life
	caller  caller
	leave   leave

	header    http.Header // until the pool is known
	elsewhere bool        // another chooses the endpoint
}

// caller is whose a request is.
type caller struct {
	flow policies.FlowKey // as the request says; what it counts for is that of its leave
	key  flows.Key        // that said so; zero for none
}

// leave is a request's way through flow control.
type leave struct {
	controller.Request
	played *shadow.Play // beside a request that went at once; nil for none
	since  time.Time    // when it was dispatched; zero before
	entry  *flows.Entry // of its flow, from then on
}

// Open begins a session: it finds out whose request it is, before anything else of it is
// read. memory is what its headers take, as [Gateway.HeaderMemory] says of those that it may have.
// The caller ends the session unless it was refused.
func (g *Gateway) Open(ctx context.Context, h http.Header, memory int64, r *Record) (*Session, *refusal.Refusal) {
	id, key, refused := g.keys.get().Identify(h)
	if refused != nil {
		return nil, refused
	}
	r.follow(g.cfg.Tracing, h)
	r.flow.ID, r.objective = id, headers.ObjectiveOf(h)
	rewrite, refused := headers.RewriteOf(h)
	if refused != nil {
		return nil, refused
	}
	s := g.newSession(ctx, h, r)
	s.caller.key = key
	s.Body.rewrite = rewrite
	if only := g.pools.Load().only; only != nil {
		s.enter(only)
	}
	if refused := s.Body.take(sessionBytes + memory); refused != nil {
		s.End()
		return nil, refused
	}
	return s, nil
}

// newSession puts the parts of a session together.
func (g *Gateway) newSession(ctx context.Context, h http.Header, r *Record) *Session {
	s := &Session{gateway: g, record: r, header: h, caller: caller{flow: r.flow}}
	life, request := &s.life, &s.leave.Request
	life.ctx, life.cancel = context.WithCancelCause(ctx)
	request.Name, request.TargetTTFT, request.TTL = r.id, headers.TargetTTFT(h), headers.TTL(h)
	request.Trace, request.End = r.spans.Sampled(), life.cancel
	s.Body = Body{life: life, memory: g.budget.Open(r.flow.ID, func() { life.cancel(errMemory) }), most: g.cfg.MaxBody}
	s.Placement = Placement{request: request, body: &s.Body, record: r, token: h.Get(SessionHeader)}
	s.Answer.life, s.Answer.placement = life, &s.Placement
	s.Watch = Watch{life: life, timeouts: flows.DefaultTimeouts()}
	return s
}

// Context ends when the request is to end, and End ends it.
func (s *Session) Context() context.Context { return s.life.ctx }

// Record is what is told of the request.
func (s *Session) Record() *Record { return s.record }

// Pool is the pool that the request is for; nil until that is known.
func (s *Session) Pool() *Pool { return s.pool }

// enter takes in which pool the request is for, and so what holds for its flow there.
func (s *Session) enter(p *Pool) {
	r, rules, flow := s.record, p.rules.Load(), &s.caller.flow
	s.pool, s.Placement.pool, r.pool = p, p, p
	p.attendance.enter(&s.life)
	if choice := p.cfg.Endpoints.Profile.Choice; choice != nil {
		s.Placement.profile = choice.Of(strings.TrimSpace(s.header.Get(choice.Header)))
	}
	s.header = nil
	var undeclared bool
	if flow.Priority, undeclared = rules.PriorityOf(flow.ID, r.objective); undeclared {
		p.cfg.Metrics.Undeclared()
		r.warn(p.undeclared.Note(p.cfg.Logger, r.objective, flow.Priority))
	}
	r.flow = *flow
	s.Watch.timeouts = rules.TimeoutsOf(flow.ID, r.objective)
}

// enterByModel has the request be for the pool of its model, once the body is there.
func (s *Session) enterByModel() *refusal.Refusal {
	if refused := s.Body.request.FindModel(); refused != nil {
		return refused
	}
	model := s.Body.request.Model
	s.record.model = told(model)
	return s.enterFound(s.gateway.pools.Load().forModel(model))
}

// EnterNamed has the request be for the pool of that name.
func (s *Session) EnterNamed(name string) *refusal.Refusal {
	return s.enterFound(s.gateway.pools.Load().byName(name))
}

// enterFound has the request be for a pool that was looked for, if it was found.
func (s *Session) enterFound(p *Pool, refused *refusal.Refusal) *refusal.Refusal {
	if refused == nil {
		s.enter(p)
	}
	return refused
}

// ChosenElsewhere leaves the choice of the endpoint to something else, and with it the model
// that the request's header names. ChosenHere takes both back.
func (s *Session) ChosenElsewhere() { s.elsewhere = true }

// ChosenHere has this replica choose the endpoint after all.
func (s *Session) ChosenHere(method, path string) *refusal.Refusal {
	if !s.elsewhere {
		return nil
	}
	s.elsewhere = false
	return s.Body.renameByHeader(method, path)
}

// Admit works out, once the body is there, what the request may cost.
func (s *Session) Admit(method, path string) *refusal.Refusal {
	if !s.elsewhere {
		if refused := s.Body.renameByHeader(method, path); refused != nil {
			return refused
		}
	}
	asked := &s.Body.request
	refused := asked.Read(method, path)
	if s.pool == nil && refused == nil {
		refused = s.enterByModel()
	}
	if refused == nil && !s.elsewhere {
		refused = s.Body.renameByRule(s.pool.cfg.Rewrite, method, path)
	}
	p := s.pool
	if refused == nil && s.Placement.profile == nil && p.cfg.Endpoints.Profile.Choice != nil {
		refused = unknownProfile(p.cfg.Endpoints.Profile.Choice)
	}
	if refused != nil && (p == nil || !p.shadow.On()) {
		return refused
	}
	rules := p.rules.Load()
	asked.CachedWeight = *rules.CachedTokenWeight
	flow := p.flows.Admit(s.caller.flow, s.rule(), rules)
	if flow.First {
		p.cfg.Metrics.FreshFlow()
	}
	p.fresh.Note(p.cfg.Logger, rules, flow.First)
	if flow.Known {
		asked.Expect(flow.Output)
	}
	l := &s.leave
	l.Flow, l.Sharer, l.Bytes = flow.Flow, flow.Sharer, int64(len(asked.Body))
	l.Name, s.record.flow, s.record.model = s.record.id, flow.Flow, told(asked.Model)
	l.InputTokens, l.OutputTokens, l.ExpectedHold = asked.InputTokens, asked.OutputTokens, flow.Hold
	return nil
}

// rule is which setting holds for the request's flow.
func (s *Session) rule() string {
	return s.pool.rules.Load().RuleOf(s.caller.flow.ID, s.caller.key != flows.Key{})
}

// Wait waits until the request may go. From then on it holds a slot of the pool's limit,
// and its revocation ends it.
func (s *Session) Wait() *refusal.Refusal {
	p := s.pool
	if p.shadow.On() {
		s.goAtOnce()
		return nil
	}
	stop := context.AfterFunc(p.readings.refusing(), func() { s.life.cancel(unreadable()) })
	defer stop()
	defer s.gateway.keys.wait(s.caller.key, &s.life)()
	s.record.enqueued = time.Now()
	_, err := p.cfg.Controller.EnqueueAndWait(s.life.ctx, &s.leave.Request)
	s.record.waited = time.Since(s.record.enqueued)
	s.record.owner, s.record.obstacle = s.leave.Waited()
	s.record.offered, s.record.lined = s.leave.Steps()
	if err != nil {
		if s.life.ctx.Err() != nil {
			return s.life.ended()
		}
		return p.refuse(s.leave.Flow, s.record.waited, err)
	}
	s.record.charge, s.record.byFloat = s.leave.Charge(), s.leave.ByFloat()
	s.dispatched(s.record.enqueued.Add(s.record.waited))
	if revoked := s.leave.Revoked(); revoked != nil {
		go func() { // ends with ctx
			select {
			case <-revoked:
				p.cfg.Metrics.Revoked(s.Answer.begun.Load())
				s.life.cancel(p.evicted())
			case <-s.life.ctx.Done():
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
		Flow: r.Flow, Sharer: r.Sharer, Name: r.Name, Bytes: r.Bytes, InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, TTL: r.TTL, TargetTTFT: r.TargetTTFT, ExpectedHold: r.ExpectedHold,
	})
}

// dispatched notes that the request may go.
func (s *Session) dispatched(at time.Time) {
	s.Body.memory.Keep()
	s.Watch.start()
	s.leave.since, s.leave.entry = at, s.pool.flows.Begin(s.leave.Flow, s.rule())
}

// Ended is the answer to a request whose context ended.
func (s *Session) Ended() *refusal.Refusal { return s.life.ended() }

// Respond begins the answer: it is read for usage, and charged as it comes. The body is
// nil where Envoy passes it on.
func (s *Session) Respond(status int, contentType string, body io.ReadCloser) *modelapi.Answer {
	s.record.responded = time.Now()
	if status >= 500 {
		s.Placement.Failed(metrics.Status5xx)
	}
	s.Placement.goneThrough()
	if slot := s.Placement.slot; slot != nil {
		slot.Answered()
	}
	s.Answer.usage = modelapi.NewAnswer(body, contentType, &s.Body.request, func(u controller.Usage) {
		s.pool.cfg.Controller.Progress(&s.leave.Request, u)
	})
	return s.Answer.usage
}

// End gives back whatever the session holds and settles what the request cost.
func (s *Session) End() {
	if s.pool != nil {
		defer s.pool.attendance.leave(&s.life)
	}
	s.Watch.stop()
	over := s.life.over()
	if over != nil {
		s.gateway.overBound(s.pool, over)
	}
	if s.record.reason == "" {
		s.record.reason = s.Answer.cutOff(over)
	}
	s.life.cancel(nil)
	defer s.Body.memory.Close()
	s.Answer.close()
	if over != nil && over.endpoint {
		s.Placement.Unreached(over)
	}
	s.Placement.giveBack()
	s.Placement.goneThrough()
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
	usage, asked := controller.Usage{}, &s.Body.request
	if a := s.Answer.usage; a != nil {
		a.Finish()
		usage, s.record.tokens = a.Usage(), a.Tokens()
	}
	switch {
	case usage.Known && asked.Counted:
		s.pool.pace.learn(usage, held)
		return usage
	case usage.Known && s.Answer.usage.Reported() || over != nil && over.endpoint:
		return usage
	}
	price := s.pool.pace.price(held)
	price.InputTokens = max(price.InputTokens, asked.InputTokens)
	if asked.Counted {
		price.OutputTokens = max(price.OutputTokens, asked.OutputTokens)
	}
	return price
}
