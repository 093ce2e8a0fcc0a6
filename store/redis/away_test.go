package redis

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestAwayCostsTheOthersLittle: while one of ten owners is not heard of, the turns of the others need not
// look at all offers to find that something waits beside its own. A turn that does takes 20 times as long
// here as one while all are heard of.
func TestAwayCostsTheOthersLittle(t *testing.T) {
	server, clock := redistest.Start(t), storetest.NewClock()
	l := open(server.URL())(t, clock.Now)
	const owners, each, most = 10, 64, 5
	statements := make([]*store.Statement, owners)
	for i := range statements {
		statements[i] = &store.Statement{Replica: fmt.Sprint("r", i), Incarnation: 1, Register: true, Members: owners, Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: 4, Guaranteed: 2}}}
	}
	turn := func(s *store.Statement) {
		t.Helper()
		s.Answered, s.Number = s.Number, s.Number+1
		r, err := l.Turn(t.Context(), s)
		if err != nil || r.Status != store.OK {
			t.Fatal(r, err)
		}
		s.Register, s.Generation, s.Offers = false, r.Generation, nil
		for _, m := range r.Messages {
			s.ReadUpTo = max(s.ReadUpTo, m.Number)
		}
	}
	all := func(statements []*store.Statement) {
		for _, s := range statements {
			turn(s)
		}
	}
	all(statements)
	statements[9].Bands[0].InFlight = 4
	turn(statements[9])
	for i, s := range statements { // those of the first go before all others
		for n := range each {
			s.Offers = append(s.Offers, store.Offer{Ticket: policies.TicketID{Ingress: s.Replica, Seq: uint64(n + 1)}, Flow: fmt.Sprint("flow-", i, "-", n), Charge: 1, Weight: 1, Rank: float64(min(i, 1)), Score: float64(n)})
		}
		turn(s)
	}
	fastest := func() time.Duration { // of turns of the others, which is the least that others' load adds to
		least := time.Minute
		for i := range 90 {
			clock.Advance(time.Millisecond)
			began := time.Now()
			turn(statements[1+i%9])
			least = min(least, time.Since(began))
		}
		return least
	}
	heard := fastest()
	for range 6 {
		clock.Advance(100 * time.Millisecond)
		all(statements[1:])
	}
	away := fastest()
	t.Logf("a turn takes %v, and %v while one is away", heard, away)
	if away > most*heard {
		t.Errorf("a turn takes %v while one is away, and %v else; want %d times that at most", away, heard, most)
	}
}
