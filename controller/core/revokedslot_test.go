package core_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/eviction"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// revoking is a replica whose sheddable requests fill a pool of eight and stand in line, with the
// ledger so far away that a turn takes half as long as they do. It has some revoked when the ledger
// says so, which is here as soon as it is asked to.
type revoking struct {
	t       *testing.T
	core    *core.Core
	ledger  *memory.Ledger
	now     time.Time
	seq     uint64
	waits   int
	ends    map[uint64]time.Time // of those in flight
	turn    *store.Statement
	reply   *store.Reply
	comes   time.Time // the reply
	lost    time.Time // until when the ledger is
	revoke  bool      // with the next reply
	revoked []uint64
}

const revokingTurn = 150 * time.Millisecond

func newRevoking(t *testing.T) *revoking {
	v := &revoking{t: t, now: time.Unix(1_800_000_000, 0), ends: make(map[uint64]time.Time)}
	cfg := configured(fairness.NewRoundRobin("rr"))
	cfg.Shard.OffersPerBand = 64
	cfg.Shard.Band = func(int) shard.BandConfig {
		return shard.BandConfig{MaxRequests: 1000, MaxBytes: 1e9, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
	}
	cfg.Eviction = &core.Eviction{Filter: eviction.NewSheddable("filter"), Order: eviction.NewPriorityThenTime("order")}
	v.core, v.ledger, _ = withLedger(&v.now, cfg)
	v.core.SetPool(v.now, core.Pool{Endpoints: 1, Limit: 8})
	return v
}

// ready carries out what there is to do, and returns how many requests go.
func (v *revoking) ready() (went int) {
	v.t.Helper()
	r := v.core.Ready(v.now)
	for _, d := range r.Decisions {
		if d.Outcome != core.Dispatched {
			v.t.Fatalf("%+v", d)
		}
		v.ends[d.Ticket.Seq] = v.now.Add(300*time.Millisecond + time.Duration(d.Ticket.Seq*37%50)*time.Millisecond)
		v.waits--
		went++
	}
	if r.Turn != nil {
		v.turn, v.comes = r.Turn, v.now.Add(revokingTurn)
		if v.reply = nil; v.now.After(v.lost) {
			reply, err := v.ledger.Turn(context.Background(), r.Turn)
			if err != nil {
				v.t.Fatal(err)
			}
			v.reply = reply
		}
	}
	v.revoked = append(v.revoked, r.Revoked...)
	return went
}

// step lets 5 ms pass, and returns the numbers of the requests that ended.
func (v *revoking) step() (ended []uint64) {
	v.now = v.now.Add(5 * time.Millisecond)
	v.core.Tick(v.now)
	for v.waits < 20 {
		v.seq++
		v.waits++
		v.core.Enqueue(v.now, core.Request{Seq: v.seq, Flow: policies.FlowKey{ID: "a", Priority: -1}})
	}
	if v.turn != nil && !v.comes.After(v.now) {
		reply, turn := v.reply, v.turn
		v.turn = nil
		if reply == nil {
			v.core.TurnDone(v.now, nil, store.ErrUnavailable)
		} else {
			if v.revoke && len(turn.Sheddable) > 0 {
				reply.Revoke, v.revoke = []uint64{turn.Sheddable[0].Seq}, false
			}
			v.core.TurnDone(v.now, reply, nil)
		}
	}
	v.ready()
	for _, seq := range slices.Sorted(maps.Keys(v.ends)) {
		if !v.ends[seq].After(v.now) {
			ended = append(ended, seq)
		}
	}
	return ended
}

// end ends a request, and returns how many go at once.
func (v *revoking) end(seq uint64) (went int) {
	delete(v.ends, seq)
	v.core.Release(v.now, seq, core.Usage{})
	return v.ready()
}

// pass lets time pass.
func (v *revoking) pass(d time.Duration) {
	for end := v.now.Add(d); v.now.Before(end); {
		for _, seq := range v.step() {
			v.end(seq)
		}
	}
}

// TestRevokedSlotIsNotTheLines: the slot of a request that was revoked does not go to who stands in
// line, who would be revoked in turn, but with the next statement to those for whom it was. That is
// over with it, whatever becomes of the statement: then slots are filled from the line as before.
func TestRevokedSlotIsNotTheLines(t *testing.T) {
	for what, c := range map[string]struct {
		holds bool
		lost  time.Duration // the ledger, from the revocation on
	}{"and ends at once": {}, "and ends by itself": {holds: true}, "and a turn is lost": {lost: 100 * time.Millisecond}, "and the ledger is lost": {lost: 5 * time.Second}} {
		t.Run(what, func(t *testing.T) {
			v := newRevoking(t)
			v.pass(4 * time.Second)
			v.revoke = true
			for len(v.revoked) == 0 {
				for _, seq := range v.step() {
					v.end(seq)
				}
			}
			victim := v.revoked[0]
			if v.core.InLine() == 0 {
				t.Fatal("nobody stands in line")
			}
			for ; c.holds && v.ends[victim].After(v.now); v.step() { // what else ends waits
			}
			v.lost = v.now.Add(c.lost)
			if went := v.end(victim); went > 0 {
				t.Errorf("%d went in its slot", went)
			}
			v.pass(2*time.Second + c.lost)
			for number := v.turn.Number; v.turn == nil || v.turn.Number == number; {
				for _, seq := range v.step() {
					v.end(seq)
				}
			}
			ended := v.step()
			for ; len(ended) == 0; ended = v.step() {
			}
			if went := v.end(ended[0]); went != 1 {
				t.Errorf("%d went in the slot of the first that ended since a turn began later on, with %d in line", went, v.core.InLine())
			}
		})
	}
}
