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

// TestExcessOfOneThatWentAlone has a replica come back to the ledger with two requests that went without it,
// to an endpoint where another has got all four slots meanwhile, and may not know of these two yet. None goes
// from the line in their slots: there would be five when both have ended.
func TestExcessOfOneThatWentAlone(t *testing.T) {
	b := newBack(t)
	b.turns(false) // it holds a lease, and the other knows
	b.turns(true)
	for seq := range uint64(6) {
		b.core.Enqueue(b.now, core.Request{Seq: seq + 1, Flow: policies.FlowKey{ID: "a"}})
	}
	if b.turns(true); b.core.LedgerState() != core.Outage || b.went != 2 {
		t.Fatalf("%d went, %s; want 2 without the ledger", b.went, b.core.LedgerState())
	}
	another := store.Statement{
		Replica: "another", Incarnation: 1, Number: 2, Register: true, Members: 1,
		Bands: []store.Band{{InFlight: 4}}, Loads: []store.Load{{Endpoint: "x", InFlight: 4, Capacity: 4}},
	}
	if _, err := b.ledger.Turn(t.Context(), &another); err != nil {
		t.Fatal(err)
	}
	b.lined = []uint64{3, 4, 5, 6}
	if b.turns(false); b.core.LedgerState() != core.Connected || b.went != 2 || b.core.InLine() != 4 {
		t.Fatalf("%s, %d went, %d in line; want connected, 2 and 4", b.core.LedgerState(), b.went, b.core.InLine())
	}
	for seq := range uint64(2) {
		b.core.Release(b.now, seq+1, core.Usage{})
		if went := b.core.Ready(b.now).Decisions; len(went) > 0 {
			t.Errorf("%d of the two have ended, and %d goes, want none", seq+1, went[0].Ticket.Seq)
		}
	}
}

// back is a replica that loses the ledger, beside another, and comes back. They have an endpoint that takes four.
type back struct {
	t      *testing.T
	now    time.Time
	core   *core.Core
	ledger *memory.Ledger
	went   int      // so many requests have gone
	lined  []uint64 // those of which the next turn that is answered says that they stand in line
}

func newBack(t *testing.T) *back {
	t.Helper()
	b := &back{t: t, now: time.Unix(1_800_000_000, 0)}
	b.core, b.ledger = besideAnother(t, &b.now, fairness.NewRoundRobin("rr"))
	b.core.SetPool(b.now, core.Pool{Endpoints: 1, Limit: 4})
	b.core.SetEndpoints(b.now, []core.Endpoint{{Address: "x", Capacity: 4}})
	return b
}

// turns takes them for two seconds, or until some stand in line.
func (b *back) turns(lost bool) {
	for range 200 {
		b.now = b.now.Add(10 * time.Millisecond)
		b.core.Tick(b.now)
		ready := b.core.Ready(b.now)
		b.went += len(ready.Decisions)
		switch {
		case ready.Turn == nil:
		case lost:
			b.core.TurnDone(b.now, nil, store.ErrUnavailable)
		default:
			if b.answer(ready.Turn); b.core.InLine() > 0 {
				return
			}
		}
	}
}

// answer has a turn answered.
func (b *back) answer(s *store.Statement) {
	reply, err := b.ledger.Turn(b.t.Context(), s)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, seq := range b.lined {
		reply.Messages = append(reply.Messages, store.Message{
			Number: s.ReadUpTo + uint64(i) + 1, Kind: store.Lined, Ticket: policies.TicketID{Ingress: "me", Seq: seq}, Policy: "rr", Flow: "a", Charge: 1,
		})
	}
	b.lined = nil
	b.core.TurnDone(b.now, reply, nil)
}
