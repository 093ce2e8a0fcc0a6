package core_test

import (
	"context"
	"maps"
	"slices"
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

// lined is a replica with two endpoints x and y that take eight each, both full, where others stand in
// line, at a ledger that is so far away.
type lined struct {
	t      *testing.T
	core   *core.Core
	ledger *memory.Ledger
	now    time.Time
	turn   time.Duration
	seq    uint64
	waits  int
	at     map[uint64]string // where those are that are in flight
	ends   map[uint64]time.Time

	picks func(seq uint64) string // the endpoint, in place of the replica; nil for none

	stated *store.Statement
	comes  time.Time // the reply to it
	reply  *store.Reply
}

func newLined(t *testing.T, turn time.Duration, picks func(uint64) string) *lined {
	l := &lined{t: t, picks: picks, now: time.Unix(1_800_000_000, 0), turn: turn, at: make(map[uint64]string), ends: make(map[uint64]time.Time)}
	cfg := configured(fairness.NewRoundRobin("rr"))
	cfg.Shard.OffersPerBand = 64
	cfg.Shard.Band = func(int) shard.BandConfig {
		return shard.BandConfig{MaxRequests: 1000, MaxBytes: 1e9, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
	}
	l.core, l.ledger, _ = withLedger(&l.now, cfg)
	l.takes(8, 8)
	for l.now.Before(time.Unix(1_800_000_004, 0)) || len(l.at) < 16 || l.core.InLine() == 0 {
		l.step()
	}
	return l
}

// takes says what x and y take.
func (l *lined) takes(x, y int64) {
	l.core.SetPool(l.now, core.Pool{Endpoints: 2, Limit: x + y})
	l.core.SetEndpoints(l.now, []core.Endpoint{{Address: "x", Capacity: x}, {Address: "y", Capacity: y}})
}

// has is how many requests are at an endpoint.
func (l *lined) has(endpoint string) (n int) {
	for _, at := range l.at {
		if at == endpoint {
			n++
		}
	}
	return n
}

func (l *lined) ready() {
	l.t.Helper()
	r := l.core.Ready(l.now)
	for _, d := range r.Decisions {
		if d.Outcome != core.Dispatched {
			l.t.Fatalf("%+v", d)
		}
		l.waits--
		l.at[d.Ticket.Seq] = d.Endpoint
		if l.picks != nil {
			l.at[d.Ticket.Seq] = l.picks(d.Ticket.Seq)
		}
		l.core.Place(d.Ticket.Seq, l.at[d.Ticket.Seq])
		l.ends[d.Ticket.Seq] = l.now.Add(100*time.Millisecond + time.Duration(d.Ticket.Seq*7%40)*time.Millisecond)
	}
	if r.Turn != nil {
		reply, err := l.ledger.Turn(context.Background(), r.Turn)
		if err != nil {
			l.t.Fatal(err)
		}
		l.stated, l.reply, l.comes = r.Turn, reply, l.now.Add(l.turn)
	}
}

// step lets a millisecond pass, and returns at which endpoints requests ended.
func (l *lined) step() (ended []string) {
	l.now = l.now.Add(time.Millisecond)
	l.core.Tick(l.now)
	for ; l.waits < 40; l.waits++ {
		l.seq++
		l.core.Enqueue(l.now, core.Request{Seq: l.seq, Flow: policies.FlowKey{ID: "a"}})
	}
	l.ready()
	for _, seq := range slices.Sorted(maps.Keys(l.ends)) {
		if !l.ends[seq].After(l.now) {
			ended = append(ended, l.at[seq])
			delete(l.at, seq)
			delete(l.ends, seq)
			l.core.Release(l.now, seq, core.Usage{})
			l.ready()
		}
	}
	if l.stated != nil && !l.comes.After(l.now) {
		l.stated = nil
		l.core.TurnDone(l.now, l.reply, nil)
		l.ready()
	}
	return ended
}

// TestOneTooMany has a request go to an endpoint that is full, since the one that it was at is gone
// wrong. The next that ends there is followed by nobody, and slots are in use as they were.
func TestOneTooMany(t *testing.T) {
	for _, turn := range []time.Duration{0, 4 * time.Millisecond, 38 * time.Millisecond, 300 * time.Millisecond} {
		for into := 0; into < 20; into += 4 { // milliseconds; the turn is under way for some of them
			l := newLined(t, turn, nil)
			for range into {
				l.step()
			}
			for l.has("x") < 8 || l.has("y") < 8 {
				l.step()
			}
			for _, seq := range slices.Sorted(maps.Keys(l.at)) {
				if l.at[seq] == "x" {
					l.core.Place(seq, "y")
					l.at[seq] = "y"
					break
				}
			}
			over, used, ended := 0, 0, false
			for range 2000 {
				ended = slices.Contains(l.step(), "y") || ended
				if ended && l.has("y") > 8 {
					over++
				}
				used += len(l.at)
			}
			if over > 0 {
				t.Errorf("turns of %v, %d ms later: y had more than it takes for %d of 2,000 ms after the first had ended there", turn, into, over)
			}
			if least := 2000*16 - 2000*16/10; used < least {
				t.Errorf("turns of %v, %d ms later: %.1f%% of the slots' time were in use", turn, into, float64(used)/2000/16*100)
			}
		}
	}
}

// TestTakesLess has one endpoint take less from now on, and the other as much more: requests that end
// are followed at that one.
func TestTakesLess(t *testing.T) {
	for _, turn := range []time.Duration{0, 4 * time.Millisecond, 38 * time.Millisecond, 300 * time.Millisecond} {
		l := newLined(t, turn, nil)
		l.takes(12, 4)
		l.step()
		for range 200 + 3*int(turn/time.Millisecond) { // the longest request, and until it is known
			l.step()
		}
		for range 1000 {
			if l.step(); l.has("x") > 12 || l.has("y") > 4 {
				t.Errorf("turns of %v: %d at x, which takes 12, and %d at y, which takes 4", turn, l.has("x"), l.has("y"))
				break
			}
		}
	}
}

// TestExcessOfAPicker has an external picker send three of four requests to one of the endpoints: that
// one has more than it takes, and slots are in use as where the picker spreads them.
func TestExcessOfAPicker(t *testing.T) {
	used := func(picks func(uint64) string) (sum int) {
		l := newLined(t, 38*time.Millisecond, picks)
		for range 3000 {
			l.step()
			sum += len(l.at)
		}
		return sum
	}
	even := used(func(seq uint64) string { return []string{"x", "y"}[seq%2] })
	skewed := used(func(seq uint64) string { return []string{"x", "y", "y", "y"}[seq%4] })
	if skewed < even*95/100 {
		t.Errorf("%.1f%% of the slots' time in use, and %.1f%% where the picker spreads requests", float64(skewed)/3000/16*100, float64(even)/3000/16*100)
	}
}
