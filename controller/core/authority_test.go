package core_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// spender is a replica that has permits, since requests come and nobody waits.
type spender struct {
	t      *testing.T
	core   *core.Core
	ledger *memory.Ledger
	now    time.Time
	seq    uint64
	read   uint64 // the last message
}

func newSpender(t *testing.T, cfg core.Config, endpoints ...core.Endpoint) *spender {
	t.Helper()
	s := &spender{t: t, now: time.Unix(1_800_000_000, 0)}
	s.core, s.ledger, _ = withLedger(&s.now, cfg)
	s.core.SetPool(s.now, core.Pool{Endpoints: max(1, len(endpoints)), Limit: 16})
	s.core.SetEndpoints(s.now, endpoints)
	s.warm()
	return s
}

// warm has a few requests come, so that permits are of use.
func (s *spender) warm() {
	s.t.Helper()
	s.ask(0)
	s.exchange()
	for range 5 {
		s.pass(100 * time.Millisecond)
		s.ask(0)
		s.exchange()
	}
	if _, permits, room := s.core.Authority(s.now); permits == 0 || room == 0 {
		s.t.Fatalf("%d permits, room for %d; want some", permits, room)
	}
}

func (s *spender) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.core.Tick(s.now)
}

func (s *spender) ask(priority int) {
	s.seq++
	s.core.Enqueue(s.now, core.Request{Seq: s.seq, Flow: policies.FlowKey{ID: "a", Priority: priority}})
}

// answer takes a statement to the ledger.
func (s *spender) answer(st *store.Statement) *store.Reply {
	s.t.Helper()
	reply, err := s.ledger.Turn(context.Background(), st)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range reply.Messages {
		s.read = max(s.read, reply.Messages[i].Number)
	}
	return reply
}

// exchange takes turns until there is nothing to say.
func (s *spender) exchange() {
	s.t.Helper()
	for ready := s.core.Ready(s.now); ready.Turn != nil; ready = s.core.Ready(s.now) {
		s.core.TurnDone(s.now, s.answer(ready.Turn), nil)
	}
}

// turn is the statement of the turn that is due after so long. 300 ms after a request was let go one is, before
// the last is old.
func (s *spender) turn(after time.Duration) *store.Statement {
	s.t.Helper()
	s.pass(after)
	ready := s.core.Ready(s.now)
	if ready.Turn == nil {
		s.t.Fatalf("no turn after %v", after)
	}
	return ready.Turn
}

func (s *spender) wantNoAuthority(what string) {
	s.t.Helper()
	if _, permits, room := s.core.Authority(s.now); permits != 0 || room != 0 {
		s.t.Errorf("%s: %d permits and room for %d, want none", what, permits, room)
	}
}

func roundRobin() core.Config { return configured(fairness.NewRoundRobin("rr")) }

// TestAuthorityEnds: a replica lets nothing go by itself once it is not certain what the ledger counts for it:
// it must register, it leaves, or the reply was to another turn.
func TestAuthorityEnds(t *testing.T) {
	t.Run("told to register", func(t *testing.T) {
		s := newSpender(t, roundRobin())
		s.ask(0)
		s.turn(300 * time.Millisecond)
		s.core.TurnDone(s.now, &store.Reply{Status: store.Register, Generation: 7, Now: s.now}, nil)
		s.wantNoAuthority("before it has registered")
	})
	t.Run("leaves", func(t *testing.T) {
		s := newSpender(t, roundRobin())
		s.core.Leave()
		s.wantNoAuthority("before its last turn")
	})
	t.Run("a reply to another turn", func(t *testing.T) {
		s := newSpender(t, roundRobin(), core.Endpoint{Address: "x", Capacity: 16})
		s.ask(0)
		st := s.turn(300 * time.Millisecond)
		number := st.Number
		reply := *s.answer(st)
		reply.Applied += 5
		reply.Permits = []store.Permit{{Endpoint: "x", Permits: 9}}
		s.core.TurnDone(s.now, &reply, nil)
		s.wantNoAuthority("it says what was counted at another")
		st = s.turn(time.Second)
		if st.Number != number+6 || st.Float != 0 {
			t.Fatalf("then %+v, want turn %d, in which it keeps none", st, number+6)
		}
		for _, l := range st.Loads {
			if l.Permits != 0 {
				t.Errorf("it keeps %d permits at %s, want none", l.Permits, l.Endpoint)
			}
		}
	})
}

// TestPermitsAfterARecall: what was recalled is given again once nobody waits.
func TestPermitsAfterARecall(t *testing.T) {
	s := newSpender(t, roundRobin())
	s.core.Wake(s.now, &store.Wakeup{Incarnation: 1, Registered: 1, Recall: true})
	if _, permits, _ := s.core.Authority(s.now); permits != 0 {
		t.Errorf("%d permits that are recalled", permits)
	}
	s.exchange()
	if _, permits, _ := s.core.Authority(s.now); permits == 0 {
		t.Error("no permits after the turn that returned them, though nobody waits")
	}
}

// TestAsksInAnUnknownBand: the first request of a priority asks, since others may have stated a lower limit for
// it; and so does any of a priority whose limit is lower than that under which permits were given.
func TestAsksInAnUnknownBand(t *testing.T) {
	s := newSpender(t, roundRobin())
	s.ask(5)
	if ready := s.core.Ready(s.now); len(ready.Decisions) != 0 || ready.Turn == nil {
		t.Errorf("%+v, want a turn", ready)
	}
	cfg := roundRobin()
	cfg.UsageLimit = lower{}
	s = &spender{t: t, now: time.Unix(1_800_000_000, 0)}
	s.core, s.ledger, _ = withLedger(&s.now, cfg)
	s.core.SetPool(s.now, core.Pool{Endpoints: 1, Limit: 16})
	s.ask(-1)
	s.exchange()
	s.warm() // by then the lower band has no room, and permits are given beside it
	s.ask(-1)
	if ready := s.core.Ready(s.now); len(ready.Decisions) != 0 {
		t.Errorf("%+v in a band at its limit", ready.Decisions)
	}
}

// TestPermitsAreNotForTheLimited: what waits of a flow with a limit of its own asks, when permits come for others.
func TestPermitsAreNotForTheLimited(t *testing.T) {
	cfg := roundRobin()
	cfg.Shard.Limit = func(flow string) (limit shard.Limit) {
		if flow == "limited" {
			limit.MaxInFlight = 1
		}
		return limit
	}
	s := newSpender(t, cfg)
	s.ask(0)
	st := s.turn(300 * time.Millisecond)
	for n := range uint64(2) {
		s.core.Enqueue(s.now, core.Request{Seq: 100 + n, Flow: policies.FlowKey{ID: "limited"}})
	}
	for range 9 { // more than there are permits for
		s.ask(0)
	}
	s.core.Ready(s.now)
	s.core.TurnDone(s.now, s.answer(st), nil)
	for _, d := range s.core.Ready(s.now).Decisions {
		if d.Ticket.Seq >= 100 {
			t.Errorf("%+v, of which one may be in flight", d)
		}
	}
}

// lower is a usage limit policy that leaves negative priorities a quarter of the pool.
type lower struct{ part }

func (lower) Ceilings(_ context.Context, _ time.Time, _ float64, priorities []int) (ceilings []float64) {
	for _, p := range priorities {
		if ceilings = append(ceilings, 1); p < 0 {
			ceilings[len(ceilings)-1] = 0.25
		}
	}
	return ceilings
}

// TestWakeUpsOfOthers: the messages of a wake-up are read if they are for this process, registered as it is,
// while its turns are answered. Else a turn fetches them.
func TestWakeUpsOfOthers(t *testing.T) {
	grant := func(s *spender) store.Message {
		return store.Message{Number: 1, Kind: store.Granted, Ticket: policies.TicketID{Ingress: "me", Seq: s.seq}, Policy: "rr", Flow: "a", Charge: 1}
	}
	for _, tc := range []struct {
		name  string
		first func(s *spender) // before the wake-up comes
		inc   uint64
	}{
		{"an earlier process", func(*spender) {}, 0},
		{"told to register", func(s *spender) {
			s.core.TurnDone(s.now, &store.Reply{Status: store.Register, Generation: 7, Now: s.now}, nil)
		}, 1},
		{"a turn failed", func(s *spender) { s.core.TurnDone(s.now, nil, errors.New("not now")) }, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &spender{t: t, now: time.Unix(1_800_000_000, 0)}
			s.core, s.ledger, _ = withLedger(&s.now, roundRobin())
			s.core.SetPool(s.now, core.Pool{Endpoints: 1, Limit: 1})
			s.exchange()
			s.ask(0)
			if s.core.Ready(s.now).Turn == nil {
				t.Fatal("no turn for an offer")
			}
			tc.first(s)
			s.core.Wake(s.now, &store.Wakeup{Incarnation: tc.inc, Registered: 1, Messages: []store.Message{grant(s)}})
			if ready := s.core.Ready(s.now); len(ready.Decisions) > 0 {
				t.Errorf("%+v by a wake-up that is for nobody now", ready.Decisions)
			}
		})
	}
}

// TestMissingMessages: where messages before those of a reply were never read, the ledger's memory is wrong. The
// replica registers, and takes no grant that the ledger may not count then.
func TestMissingMessages(t *testing.T) {
	s := &spender{t: t, now: time.Unix(1_800_000_000, 0)}
	s.core, s.ledger, _ = withLedger(&s.now, roundRobin())
	s.core.SetPool(s.now, core.Pool{Endpoints: 1, Limit: 1})
	s.exchange()
	s.ask(0)
	reply := *s.answer(s.core.Ready(s.now).Turn)
	if len(reply.Messages) != 1 {
		t.Fatalf("messages %+v, want one", reply.Messages)
	}
	reply.Messages[0].Number += 2
	s.core.TurnDone(s.now, &reply, nil)
	ready := s.core.Ready(s.now)
	if len(ready.Decisions) > 0 || ready.Turn == nil || !ready.Turn.Register {
		t.Errorf("decided %+v, then %+v; want nothing, and that it registers", ready.Decisions, ready.Turn)
	}
}

// TestLoadsAreStatedUntilAnswered: what was stated of an endpoint in a turn that was not answered is stated in
// the next.
func TestLoadsAreStatedUntilAnswered(t *testing.T) {
	s := newSpender(t, roundRobin(), core.Endpoint{Address: "x", Capacity: 16})
	inFlight, _, _ := s.core.Authority(s.now)
	s.core.Release(s.now, 1, core.Usage{})
	s.pass(300 * time.Millisecond)
	stated := func(st *store.Statement) {
		t.Helper()
		if st == nil || len(st.Loads) != 1 || st.Loads[0].InFlight != inFlight-1 {
			t.Fatalf("%+v, want %d at x", st, inFlight-1)
		}
	}
	stated(s.core.Ready(s.now).Turn)
	s.core.TurnDone(s.now, nil, errors.New("not now"))
	s.pass(20 * time.Millisecond)
	stated(s.core.Ready(s.now).Turn)
}
