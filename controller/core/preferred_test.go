package core_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store/memory"
)

// preferring is a replica with two endpoints that take eight each, whose requests take long
// enough to go by permits, and come often enough. A turn takes so long.
type preferring struct {
	core   *core.Core
	ledger *memory.Ledger
	now    time.Time
	turn   time.Duration
	seq    uint64
}

func newPreferring(turn time.Duration) *preferring {
	p := &preferring{now: time.Unix(1_800_000_000, 0), turn: turn}
	p.core, p.ledger, _ = oneReplica(&p.now, fairness.NewRoundRobin("rr"))
	p.core.SetPool(p.now, core.Pool{Endpoints: 2, Limit: 16})
	p.core.SetEndpoints(p.now, []core.Endpoint{{Address: "x", Capacity: 8}, {Address: "y", Capacity: 8}})
	for p.seq < 20 {
		p.ask("")
		if p.seq > 5 {
			p.core.Release(p.now, p.seq-5, core.Usage{})
		}
	}
	for seq := p.seq - 5; seq <= p.seq; seq++ {
		p.core.Release(p.now, seq, core.Usage{})
	}
	p.exchange()
	return p
}

// ask has a request come that prefers an endpoint, and returns where it went.
func (p *preferring) ask(prefer string) (d core.Decision) {
	p.now = p.now.Add(300 * time.Millisecond)
	p.core.Tick(p.now)
	p.exchange()
	p.seq++
	p.core.Enqueue(p.now, core.Request{Seq: p.seq, Flow: policies.FlowKey{ID: "a"}, Prefer: prefer})
	decided := p.exchange()
	if len(decided) == 0 {
		return core.Decision{}
	}
	return decided[0]
}

// exchange takes turns until there is nothing to say, and returns what was decided.
func (p *preferring) exchange() (decided []core.Decision) {
	for {
		ready := p.core.Ready(p.now)
		decided = append(decided, ready.Decisions...)
		if ready.Turn == nil {
			return decided
		}
		reply, err := p.ledger.Turn(context.Background(), ready.Turn)
		p.now = p.now.Add(p.turn)
		p.core.TurnDone(p.now, reply, err)
	}
}

// TestPreferred has requests go by the float to the endpoint that they prefer, as long as
// there are permits there. Then they ask for it, unless the ledger is far.
func TestPreferred(t *testing.T) {
	for _, tc := range []struct {
		turn    time.Duration
		prefer  string
		byFloat bool
		at      string
	}{
		{time.Millisecond, "", true, "x"},
		{time.Millisecond, "y", false, "y"},
		{time.Millisecond, "z", true, "x"}, // there is no such endpoint
		{50 * time.Millisecond, "y", true, "x"},
	} {
		p := newPreferring(tc.turn)
		for n := range 7 {
			if d := p.ask("y"); !d.ByFloat || !d.Preferred || d.Endpoint != "y" || d.EndpointInFlight != int64(n) {
				t.Errorf("turns of %v: request %d while there are permits: %+v", tc.turn, n, d)
			}
		}
		if d := p.ask(tc.prefer); d.ByFloat != tc.byFloat || d.Endpoint != tc.at || d.Preferred != (tc.prefer == tc.at) {
			t.Errorf("turns of %v, %q preferred: %+v; want by float %v, at %s", tc.turn, tc.prefer, d, tc.byFloat, tc.at)
		}
	}
}

// TestPermitsWhereTheyAreOfUse has short requests, which ask, come and go: permits at endpoints
// are kept where many of them would go elsewhere than they were granted for, and not where a
// few would, or those that asked for their endpoints.
func TestPermitsWhereTheyAreOfUse(t *testing.T) {
	for _, tc := range []struct {
		move   uint64 // one request in so many would
		prefer string
		some   bool
	}{{2, "", true}, {20, "", false}, {2, "x", false}} {
		now := time.Unix(1_800_000_000, 0)
		c, ledger := besideAnother(t, &now, fairness.NewRoundRobin("rr"))
		c.SetPool(now, core.Pool{Endpoints: 2, Limit: 16})
		c.SetEndpoints(now, []core.Endpoint{{Address: "x", Capacity: 8}, {Address: "y", Capacity: 8}})
		kept := int64(0)
		for seq := uint64(1); seq < 200; seq++ {
			c.Enqueue(now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "a"}, Prefer: tc.prefer})
			for ready := c.Ready(now); ready.Turn != nil; ready = c.Ready(now) {
				for _, l := range ready.Turn.Loads {
					if seq > 100 { // they are known by then
						kept += l.Permits
					}
				}
				reply, err := ledger.Turn(context.Background(), ready.Turn)
				c.TurnDone(now, reply, err)
			}
			if seq%tc.move == 0 {
				c.MayPlace(now, seq, "x")
				c.MayPlace(now, seq, "y")
			}
			now = now.Add(20 * time.Millisecond)
			c.Tick(now)
			c.Release(now, seq, core.Usage{})
		}
		if kept > 0 != tc.some {
			t.Errorf("%+v: %d permits are kept", tc, kept)
		}
	}
}

// TestPassingToWhatIsGone: a request that passes goes to no endpoint that the pool does not have any more.
func TestPassingToWhatIsGone(t *testing.T) {
	p := &preferring{now: time.Unix(1_800_000_000, 0), turn: time.Millisecond}
	p.core, p.ledger, _ = oneReplica(&p.now, fairness.NewRoundRobin("rr"))
	p.core.SetPool(p.now, core.Pool{Endpoints: 2, Limit: 4})
	p.core.SetEndpoints(p.now, []core.Endpoint{{Address: "x", Capacity: 2}, {Address: "y", Capacity: 2}})
	p.exchange()
	ask := func(seq uint64, flow string, priority int, prefer string) {
		p.core.Enqueue(p.now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: flow, Priority: priority}, Prefer: prefer})
	}
	ask(100, "u", 10, "")
	at := map[uint64]string{}
	note := func(ds []core.Decision) {
		for _, d := range ds {
			at[d.Ticket.Seq] = d.Endpoint
		}
	}
	note(p.exchange())
	p.core.Release(p.now, 100, core.Usage{})
	note(p.exchange())
	for seq := uint64(1); seq <= 8; seq++ {
		ask(seq, "a", 0, "")
	}
	note(p.exchange())
	p.now = p.now.Add(30 * time.Millisecond)
	p.core.Tick(p.now)
	note(p.exchange())
	ask(9, "u", 10, "x")
	note(p.exchange())
	// x goes: its two requests end one after the other.
	p.core.SetPool(p.now, core.Pool{Endpoints: 1, Limit: 2})
	p.core.SetEndpoints(p.now, []core.Endpoint{{Address: "y", Capacity: 2}})
	note(p.core.Ready(p.now).Decisions)
	for seq := uint64(1); seq <= 8; seq++ {
		if at[seq] == "x" {
			p.core.Release(p.now, seq, core.Usage{})
			break
		}
	}
	note(p.core.Ready(p.now).Decisions)
	if at[9] == "x" {
		t.Error("it goes to x, which the pool does not have any more")
	}
}
