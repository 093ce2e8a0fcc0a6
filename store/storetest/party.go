package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// The lease and recovery of the ledgers under test, and how long they keep what a lost
// replica held.
const (
	Lease    = 3 * time.Second
	Recovery = time.Second
	KeepLost = time.Minute
)

// Timings returns the timings that a ledger under test must be made with. They
// keep all counters: when exactly idle ones go is not part of the contract.
func Timings() store.Timings {
	return store.Timings{Lease: Lease, KeepLost: KeepLost, Recovery: Recovery, CounterKeep: time.Hour}
}

// Factory makes an empty ledger of the timings above, whose clock is the given
// one and that is closed when the test ends.
type Factory func(tb testing.TB, clock func() time.Time) store.Ledger

// Clock is a clock that stands still until it is told to move.
type Clock struct{ now time.Time }

// NewClock returns a clock at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Unix(1_800_000_000, 0).UTC()} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time { return c.now }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.now = c.now.Add(d) }

// counting is a band under a policy that counts service and lifts idle flows.
func counting(priority int, limit int64) store.Band {
	return store.Band{Priority: priority, Policy: "fair", CountsService: true, LiftsIdle: true, Limit: limit}
}

// failer is what a party needs of a test.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// party is a replica that keeps the protocol's numbers and nothing else.
type party struct {
	tb     failer
	ledger store.Ledger
	id     string
	inc    uint64

	number, answered, generation, read, batch uint64
	register, full                            bool
	bands                                     []store.Band
	members                                   int
	pace                                      time.Duration // how long its turns take
	granted                                   []string
	line                                      []string // who stands in line at it, as in granted
}

func newParty(tb failer, l store.Ledger, id string, bands ...store.Band) *party {
	return &party{tb: tb, ledger: l, id: id, inc: 1, bands: bands, members: 1, register: true}
}

// newPair is two parties that know of each other.
func newPair(tb failer, l store.Ledger, limit int64) (a, b *party) {
	a, b = newParty(tb, l, "a", counting(0, limit)), newParty(tb, l, "b", counting(0, limit))
	a.members, b.members = 2, 2
	return a, b
}

// ticket names ticket n of the party's own ingress.
func (p *party) ticket(n int) policies.TicketID {
	return policies.TicketID{Ingress: p.id, Seq: uint64(n)}
}

// offer returns an offer of charge 1 for ticket n of the flow.
func (p *party) offer(n int, flow string, rank float64) store.Offer {
	return store.Offer{Ticket: p.ticket(n), Flow: flow, Priority: p.bands[0].Priority, Rank: rank, Charge: 1, Score: float64(n)}
}

// statement returns what the party says next, changed by edit.
func (p *party) statement(edit func(*store.Statement)) *store.Statement {
	p.number++
	s := &store.Statement{
		Replica: p.id, Incarnation: p.inc, Number: p.number, Answered: p.answered, Generation: p.generation,
		ReadUpTo: p.read, Members: p.members, Register: p.register, Full: p.full, Pace: p.pace,
		Bands: append([]store.Band(nil), p.bands...), Batch: p.batch,
	}
	if edit != nil {
		edit(s)
	}
	if len(s.Settlements) > 0 {
		p.batch++
		s.Batch = p.batch
	}
	return s
}

// turn takes a turn and takes in its answer.
func (p *party) turn(edit func(*store.Statement)) *store.Reply {
	p.tb.Helper()
	s := p.statement(edit)
	reply, err := p.ledger.Turn(context.Background(), s)
	if err != nil {
		p.tb.Fatalf("turn of %s: %v", p.id, err)
	}
	p.take(s, reply)
	return reply
}

// unheard takes a turn whose reply is lost.
func (p *party) unheard(edit func(*store.Statement)) {
	p.tb.Helper()
	if _, err := p.ledger.Turn(context.Background(), p.statement(edit)); err != nil {
		p.tb.Fatalf("turn of %s: %v", p.id, err)
	}
}

// lasts has so much time pass, in which the party takes turns often enough to be heard of.
func (p *party) lasts(clock *Clock, d time.Duration) {
	p.tb.Helper()
	for ; d > store.HeardWithin; d -= store.HeardWithin {
		clock.Advance(store.HeardWithin)
		p.turn(nil)
	}
	clock.Advance(d)
}

func (p *party) take(s *store.Statement, reply *store.Reply) {
	p.generation = reply.Generation
	if reply.Status == store.Register {
		p.register, p.read, p.answered = true, 0, 0
		return
	}
	p.register, p.full, p.answered = false, false, s.Number
	for _, m := range reply.Messages {
		if m.Number <= p.read {
			continue
		}
		p.read = m.Number
		if m.Kind&store.Lined != 0 {
			p.line = append(p.line, fmt.Sprintf("%s/%d", m.Flow, m.Ticket.Seq))
		}
		if m.Kind&store.Granted != 0 {
			grant := fmt.Sprintf("%s/%d", m.Flow, m.Ticket.Seq)
			if m.Ticket == (policies.TicketID{}) {
				grant, p.line = p.line[0], p.line[1:]
			}
			p.granted = append(p.granted, grant)
			for i := range p.bands {
				if p.bands[i].Priority == m.Priority {
					p.bands[i].InFlight++
				}
			}
		}
	}
}

// finish ends n of the party's requests in flight in its first band.
func (p *party) finish(n int64) { p.bands[0].InFlight -= n }

// grants returns what the party was granted since the last call, in order, as
// "flow/number".
func (p *party) grants() string {
	s := strings.Join(p.granted, " ")
	p.granted = nil
	return s
}

func want(tb testing.TB, what, got, want string) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: got %q, want %q", what, got, want)
	}
}
