package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// turns takes turns of one replica by hand, each of which withdraws a ticket and
// offers another while the pool is full.
type turns struct {
	tb        testing.TB
	ledger    store.Ledger
	statement store.Statement
	groups    int
	next      uint64
	oldest    uint64
}

func newTurns(b *testing.B, l store.Ledger, standing, replicas, flows, groups int) *turns {
	b.Helper()
	var others []*turns
	for i := 1; i < replicas; i++ {
		other := &turns{tb: b, ledger: l, statement: statement(fmt.Sprint("other", i))}
		other.statement.Bands[0].Limit = store.Unlimited // what the one that is measured states is the least
		others = append(others, other)
	}
	live := func() { // they keep their leases
		for _, other := range others {
			other.take()
		}
	}
	live()
	t := &turns{tb: b, ledger: l, statement: statement("me"), groups: groups}
	for t.take().Recovering { // or those below would stand
		time.Sleep(100 * time.Millisecond)
	}
	for i := 0; i < flows; i += 500 { // flows that come, are served once, and go
		t.statement.Bands[0].Limit = store.Unlimited
		for n := i; n < min(flows, i+500); n++ {
			t.offer(fmt.Sprint("seen-", n))
		}
		if granted := t.take().Messages; len(granted) < min(500, flows-i) {
			b.Fatalf("%d of %d offers were granted", len(granted), min(500, flows-i))
		}
		t.oldest = t.next
		if i/500%10 == 9 {
			live()
		}
	}
	live()
	t.statement.Bands[0].Limit, t.statement.Bands[0].InFlight = 1, 1
	for range standing {
		t.offer(fmt.Sprint("flow-", t.next%16))
	}
	t.take()
	return t
}

func statement(id string) store.Statement {
	return store.Statement{Replica: id, Incarnation: 1, Members: 1, Register: true, Bands: []store.Band{{
		Policy: "fair", CountsService: true, LiftsIdle: true, Limit: 1, InFlight: 0,
	}}}
}

func (t *turns) offer(flow string) {
	t.next++
	o := store.Offer{
		Ticket: policies.TicketID{Ingress: t.statement.Replica, Seq: t.next}, Flow: flow, Charge: 1, Score: float64(t.next), Idle: true,
	}
	if t.groups > 0 { // three levels
		n := int(t.next) % t.groups
		outer, middle := fmt.Sprint("a", n%10), fmt.Sprint("b", n/10%10)
		o.Group, o.IdleGroups = fmt.Sprint(outer, "/", middle, "/c", n/100), 3
		for _, path := range []string{outer, outer + "/" + middle, o.Group} {
			t.statement.Groups = append(t.statement.Groups, store.Group{Path: path, Weight: 1})
		}
	}
	t.statement.Offers = append(t.statement.Offers, o)
}

// take takes a turn with what was gathered.
func (t *turns) take() *store.Reply {
	s := &t.statement
	s.Number++
	reply, err := t.ledger.Turn(context.Background(), s)
	if err != nil || reply.Status == store.Register {
		t.tb.Fatalf("%v, %v", reply, err)
	}
	for _, m := range reply.Messages {
		s.ReadUpTo = m.Number
	}
	s.Register, s.Answered, s.Generation = false, s.Number, reply.Generation
	s.Offers, s.Withdrawn, s.Groups = s.Offers[:0], s.Withdrawn[:0], s.Groups[:0]
	return reply
}

// turn replaces the oldest offer by a new one.
func (t *turns) turn() {
	t.oldest++
	t.statement.Withdrawn = append(t.statement.Withdrawn, policies.TicketID{Ingress: t.statement.Replica, Seq: t.oldest})
	t.offer(fmt.Sprint("flow-", t.next%16))
	t.take()
}
