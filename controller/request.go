package controller

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Request asks for leave to go to the pool. Fill in the exported fields, pass it
// to EnqueueAndWait once, and to Release if it was dispatched.
type Request struct {
	// Flow is whose request it is.
	Flow policies.FlowKey
	// Sharer is who of those that share the flow it is of, such as one of many newcomers:
	// they take turns within it. Empty for a flow that is one's own.
	Sharer string
	// Name is what its client knows it by, for operators; empty for none.
	Name string
	// Trace is the id of the trace that it is a part of, for observers; empty for none. When
	// a request with one was offered to the ledger is told by Steps.
	Trace string
	// Bytes is the size of its body; it counts against the caps in bytes.
	Bytes int64
	// InputTokens and OutputTokens are estimates of the prompt and the answer,
	// by which it is charged until Release tells the real numbers.
	InputTokens, OutputTokens int64
	// TTL is how long it may wait while the pool has endpoints, where that is shorter than
	// what is configured; 0 for that.
	TTL time.Duration
	// TargetTTFT is how soon its first token should come, for an ordering by it; 0
	// for no target.
	TargetTTFT time.Duration
	// ExpectedHold is how long it is expected to hold its slot, for a fairness policy that
	// charges by that; 0 where it is not known.
	ExpectedHold time.Duration
	// Prefer is the address of the endpoint that it should go to, by more than how busy that
	// is, such as one that has its prompt cached; empty for none. It counts where endpoints
	// have limits of their own: see Controller.Bounded.
	Prefer string
	// End ends the request once it was dispatched, for the reason given, so that it is
	// released soon; nil for one that nobody can end.
	End func(cause error)

	seq      uint64
	held     atomic.Bool
	enqueued time.Time
	revoked  chan struct{}
	decided  chan struct{} // the driver's signal that what follows is filled in
	outcome  Outcome
	err      error
	at       store.Load
	prefers  bool // that one
	owner    string
	obstacle Obstacle
	charge   float64
	byFloat  bool
	offered  time.Time
	lined    time.Time
}

// Revoked returns a channel that is closed when the request was dispatched and is to
// be ended for the sake of others; it must then be released soon. It is nil for a
// request that cannot be revoked, and before EnqueueAndWait returned.
func (r *Request) Revoked() <-chan struct{} { return r.revoked }

// Waited returns in which replica's queue the request waited last, and what stood in its
// way when it came. It is for operators; call it once EnqueueAndWait has returned.
func (r *Request) Waited() (owner string, obstacle Obstacle) { return r.owner, r.obstacle }

// ByFloat reports whether a dispatched request went without a question to the ledger.
func (r *Request) ByFloat() bool { return r.byFloat }

// Steps returns when a request that has a Trace was offered to the ledger for the first time,
// and when a dispatched one came to stand in line, ahead of a slot. They are zero for what did
// not happen, and for what this replica had not heard of before the wait ended.
func (r *Request) Steps() (offered, lined time.Time) { return r.offered, r.lined }

// Charge is what a dispatched request was charged, in the unit of its band's policy.
func (r *Request) Charge() float64 { return r.charge }

// Granted is the endpoint that the request was granted for, and how many requests the fleet
// had in flight there: no endpoint had fewer, unless it is the one that the request prefers.
// The request counts there until Place says that it went elsewhere. Its name is empty if the
// ledger had no choice of endpoints.
func (r *Request) Granted() (at store.Load, preferred bool) { return r.at, r.prefers }

// ask is the request as the core takes it in. The core's decision comes back by its tag.
func (r *Request) ask() core.Request {
	return core.Request{
		Seq: r.seq, Flow: r.Flow, Sharer: r.Sharer, Bytes: r.Bytes,
		InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, TTL: r.TTL, TargetTTFT: r.TargetTTFT, ExpectedHold: r.ExpectedHold, Prefer: r.Prefer, Traced: r.Trace != "", Tag: r,
	}
}

// decide takes in the core's decision, whose clock is ahead of this machine's by so much, and wakes
// the caller, which waits for it whatever else happens.
func (r *Request) decide(d *core.Decision, ahead time.Duration) {
	r.outcome, r.err = d.Outcome, d.Err
	r.at, r.prefers = store.Load{Endpoint: d.Endpoint, InFlight: d.EndpointInFlight}, d.Preferred
	r.owner, r.obstacle, r.charge, r.byFloat = d.Owner, d.Obstacle, d.Charge, d.ByFloat
	if !d.Offered.IsZero() {
		r.offered = d.Offered.Add(-ahead)
	}
	if !d.Lined.IsZero() {
		r.lined = d.Lined.Add(-ahead)
	}
	r.decided <- struct{}{}
}

// signals lends the channels by which callers are woken.
type signals struct{ pool sync.Pool }

func (s *signals) get() chan struct{} {
	if c, ok := s.pool.Get().(chan struct{}); ok {
		return c
	}
	return make(chan struct{}, 1)
}

// put takes a channel back; its signal has been received.
func (s *signals) put(c chan struct{}) { s.pool.Put(c) }
