package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// farReplica is a replica of a pool with two slots, whose ledger takes 200 ms to answer a turn
// and whose requests take 100 ms.
type farReplica struct {
	*core.Core
	t       *testing.T
	now     time.Time
	ledger  *memory.Ledger
	answer  func() // ends the turn under way; nil while there is none
	at      time.Time
	seq     uint64
	asked   map[uint64]core.Request
	ttl     func(seq uint64) time.Duration // of each request; nil for none
	goes    func(r core.Request)           // hears of each that goes, if set
	tells   func(r *store.Reply)           // changes what the ledger replies, if set
	waiting map[uint64]bool
	running map[uint64]time.Time // until when
	served  map[string]int
	offered map[policies.TicketID]string // the flows of all tickets that ever were
	again   bool                         // a request that ended is followed by another of its flow
	ahead   int                          // tickets were before the ledger, or in line, beyond the requests that waited, at most
}

func newFarReplica(t *testing.T, order policies.OrderingPolicy) *farReplica {
	f := &farReplica{
		t: t, now: time.Unix(1_800_000_000, 0), asked: make(map[uint64]core.Request), waiting: make(map[uint64]bool),
		running: make(map[uint64]time.Time), served: make(map[string]int), offered: make(map[policies.TicketID]string), again: true,
	}
	cfg := configured(fairness.NewRoundRobin("rr"))
	band := cfg.Shard.Band(0)
	band.Ordering = order
	cfg.Shard.Band = func(int) shard.BandConfig { return band }
	cfg.Shard.Guaranteed = map[string]float64{"guaranteed": 0.25}
	cfg.Shard.Groups = func(id string) []shard.Group {
		if id == "due" {
			return []shard.Group{{Path: "guaranteed", Weight: 1}}
		}
		return []shard.Group{{Path: shard.Others, Weight: 1}}
	}
	f.Core, f.ledger, _ = withLedger(&f.now, cfg)
	f.SetPool(f.now, core.Pool{Endpoints: 1, Limit: 2})
	return f
}

func (f *farReplica) ask(flow string) uint64 {
	f.seq++
	r := core.Request{Seq: f.seq, Flow: policies.FlowKey{ID: flow}, Tag: f.now}
	if f.ttl != nil {
		r.TTL = f.ttl(f.seq)
	}
	f.asked[f.seq], f.waiting[f.seq] = r, true
	f.Enqueue(f.now, r)
	return f.seq
}

// pass lets time pass, and checks that only requests that were made are told of.
func (f *farReplica) pass(d time.Duration) {
	f.t.Helper()
	for end := f.now.Add(d); f.now.Before(end); f.now = f.now.Add(5 * time.Millisecond) {
		for seq := range f.seq { // in order
			if until, runs := f.running[seq+1]; runs && !f.now.Before(until) {
				delete(f.running, seq+1)
				f.Release(f.now, seq+1, core.Usage{})
				if f.again {
					f.ask(f.asked[seq+1].Flow.ID)
				}
			}
		}
		f.Tick(f.now)
		if f.answer != nil && !f.now.Before(f.at) {
			f.answer()
			f.answer = nil
		}
		ready := f.Ready(f.now)
		for _, d := range ready.Decisions {
			seq := d.Ticket.Seq
			if !f.waiting[seq] {
				f.t.Errorf("%d is decided, and is no request that waits", seq)
			}
			delete(f.waiting, seq)
			if d.Outcome == core.Dispatched {
				f.running[seq] = f.now.Add(100 * time.Millisecond)
				f.served[f.asked[seq].Flow.ID]++
				if f.goes != nil {
					f.goes(f.asked[seq])
				}
			}
		}
		if ready.Turn != nil {
			for _, o := range ready.Turn.Offers {
				f.offered[o.Ticket] = o.Flow
			}
			reply, err := f.ledger.Turn(f.t.Context(), ready.Turn)
			if f.tells != nil {
				f.tells(reply)
			}
			now := f.now
			f.at, f.answer = now.Add(200*time.Millisecond), func() { f.TurnDone(f.now, reply, err) }
		}
		f.check()
	}
}

// check: what waits and runs is the requests, however many tickets are ahead of them.
func (f *farReplica) check() {
	f.t.Helper()
	v := f.View(f.now)
	if v.Waiting != len(f.waiting) || v.InFlight != len(f.running) || len(f.running) > 2 {
		f.t.Fatalf("%d wait and %d are in flight, want %d and %d, 2 at most", v.Waiting, v.InFlight, len(f.waiting), len(f.running))
	}
	queued := 0
	for i := range v.Flows {
		queued += int(v.Flows[i].Requests)
	}
	if queued > len(f.waiting) {
		f.t.Fatalf("%d are said to be queued, and %d wait", queued, len(f.waiting))
	}
	seen := 0
	f.Requests(func(core.RequestView) bool { seen++; return true })
	if want := len(f.waiting) + len(f.running); seen != want {
		f.t.Fatalf("%d requests are to be seen, want %d", seen, want)
	}
	f.ahead = max(f.ahead, f.InLine()-v.InLine)
}

// TestAhead: of four callers, who each ask again once they are answered, all slots are kept busy
// beside a ledger that takes twice as long as a request. No ticket that is ahead of its request is
// seen as one, and all are gone once nobody asks.
func TestAhead(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	for i := range 4 {
		f.ask(fmt.Sprint("f", i%2))
	}
	f.pass(6 * time.Second)
	clear(f.served)
	f.pass(10 * time.Second)
	if a, b := f.served["f0"], f.served["f1"]; a+b < 140 || max(a, b)-min(a, b) > 4 { // of 200
		t.Errorf("%d and %d were served in ten seconds, want 140 together and as many each", a, b)
	}
	f.again = false
	f.pass(5 * time.Second)
	if v := f.View(f.now); v.Waiting+v.InFlight+v.InLine != 0 || v.Totals.Queued != 0 {
		t.Errorf("%+v once nobody asks any more", v)
	}
	if counted, _, _ := f.ledger.Held("me", 1); counted > 0 {
		t.Errorf("the ledger counts %d", counted)
	}
}

// TestAheadOfNobody: the callers of a flow all stop at once, and tickets that are ahead of requests which do
// not come fill the line. What comes of another flow goes within a few turns all the same.
func TestAheadOfNobody(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	for range 4 {
		f.ask("gone")
	}
	f.pass(6 * time.Second)
	f.again = false
	f.pass(100 * time.Millisecond)
	f.ask("here")
	f.ask("here")
	f.pass(time.Second) // a turn under way, one that offers them while slots are on their way to the line, and one for each of these two
	if n := f.served["here"]; n != 2 {
		t.Errorf("%d of two requests went within a second", n)
	}
}

// TestAheadWithoutRoom: where more wait in the fleet than may, a ticket ahead is refused at once.
// The replica goes on, and serves what waits.
func TestAheadWithoutRoom(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	for i := range 4 {
		f.ask(fmt.Sprint("f", i%2))
	}
	f.pass(6 * time.Second)
	f.tells = func(r *store.Reply) {
		for i := range r.Bands {
			r.Bands[i].Queued += 100 // elsewhere; 10 may wait
		}
	}
	clear(f.served)
	done := make(chan struct{})
	go func() { // one that does not go on would hold up all other tests
		defer close(done)
		f.pass(10 * time.Second)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the replica does nothing any more")
	}
	if f.served["f0"]+f.served["f1"] == 0 {
		t.Error("nothing was served")
	}
}

// TestAheadKeepsOrder: of a flow's requests that wait here, the one that goes is the first by the
// ordering policy, whichever tickets they took and whoever goes away meanwhile.
func TestAheadKeepsOrder(t *testing.T) {
	for _, tc := range []struct {
		policy policies.OrderingPolicy
		before func(a, b core.Request) bool
	}{
		{ordering.NewFCFS("fcfs"), func(a, b core.Request) bool { return a.Seq < b.Seq }},
		{ordering.NewEDF("edf"), func(a, b core.Request) bool { return a.TTL < b.TTL || a.TTL == b.TTL && a.Seq < b.Seq }}, // these differ by more than the test takes
	} {
		t.Run(tc.policy.TypedName().Name, func(t *testing.T) {
			f := newFarReplica(t, tc.policy)
			f.ttl = func(seq uint64) time.Duration { return []time.Duration{50, 20, 35}[seq%3] * time.Second }
			passed := 0
			f.goes = func(r core.Request) {
				for seq := range f.waiting {
					if other := f.asked[seq]; other.Tag != f.now && other.Flow == r.Flow && tc.before(other, r) { // it did not come just now
						passed++
					}
				}
			}
			for i := range 8 {
				f.ask(fmt.Sprint("f", i%2))
			}
			f.pass(3 * time.Second)
			clear(f.served)
			for i := range 60 {
				f.pass(150 * time.Millisecond)
				if i%4 == 0 { // one goes away and comes again
					f.Cancel(f.now, f.seq, core.EvictedContextCancelled, core.ErrContextCancelled)
					f.ask(f.asked[f.seq].Flow.ID)
				}
			}
			if a, b := f.served["f0"], f.served["f1"]; passed > 0 || a+b < 100 {
				t.Errorf("%d times one went before another of its flow that goes first; %d and %d were served", passed, a, b)
			}
		})
	}
}

// TestAheadIsCancelled: a request that took a ticket ahead of it is cancelled by its own number,
// and one that is not ends as it should.
func TestAheadIsCancelled(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	for range 4 {
		f.ask("f")
	}
	f.pass(3 * time.Second)
	for range 20 {
		f.again = false
		f.pass(100 * time.Millisecond)
		f.again = true
		seq := f.ask("f")
		f.Cancel(f.now, seq, core.EvictedContextCancelled, core.ErrContextCancelled)
		f.pass(5 * time.Millisecond)
		if f.waiting[seq] {
			t.Fatalf("%d was cancelled, and waits", seq)
		}
		f.ask("f")
		f.pass(300 * time.Millisecond)
	}
}

// TestNotAheadOfIdsUsedOnce: nothing is expected of ids that are used once.
func TestNotAheadOfIdsUsedOnce(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	f.again = false
	for i := range 400 {
		f.ask(fmt.Sprint("once-", i))
		f.pass(25 * time.Millisecond)
	}
	if went := f.View(f.now).Tallies.FromLine; f.ahead > 0 || went == 0 {
		t.Errorf("%d tickets more were in line than requests waited, and %d requests went from there", f.ahead, went)
	}
}

// TestNotAheadOfTheGuaranteed: a flow that is guaranteed something never stands in line, and has
// no tickets ahead either: they would have its slots, and hold up the line of the others.
func TestNotAheadOfTheGuaranteed(t *testing.T) {
	f := newFarReplica(t, ordering.NewFCFS("fcfs"))
	for i := range 4 {
		f.ask(fmt.Sprint("f", i%2))
	}
	f.pass(4 * time.Second)
	f.ask("due") // again and again
	f.pass(3 * time.Second)
	asked, tickets := 0, 0
	for _, r := range f.asked {
		if r.Flow.ID == "due" {
			asked++
		}
	}
	for _, flow := range f.offered {
		if flow == "due" {
			tickets++
		}
	}
	if asked < 4 || tickets > asked {
		t.Errorf("%d tickets for %d requests", tickets, asked)
	}
}
