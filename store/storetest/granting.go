package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

func lowestRankFirst(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 3))
	a.turn(offers(a.offer(1, "x", 5), a.offer(2, "y", 1), a.offer(3, "z", 3), a.offer(4, "w", 9)))
	want(t, "first grants", a.grants(), "y/2 z/3 x/1")
	a.finish(1)
	a.turn(nil)
	want(t, "after a release", a.grants(), "w/4")
}

func oneLimitForAll(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	b.turn(offers(b.offer(1, "g", 0)))
	want(t, "a", a.grants(), "f/1 f/2")
	want(t, "b while a holds all", b.grants(), "")
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "b after a release of a", b.grants(), "g/1")
}

func leastLimitHolds(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 10)), newParty(t, l, "b", counting(0, 1))
	none := newParty(t, l, "c", counting(0, store.NoOpinion))
	a.turn(nil)
	b.turn(nil)
	none.turn(nil)
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1), a.offer(3, "f", 2)))
	want(t, "under the least limit", a.grants(), "f/1")
	b.bands[0].Limit = 2
	b.turn(nil)
	a.turn(nil)
	want(t, "after it was raised", a.grants(), "f/2")
	b.turn(func(s *store.Statement) { s.Leave = true })
	a.turn(nil)
	want(t, "after its replica left", a.grants(), "f/3")
}

// A replica that lists no endpoint knows no limit. What it alone has in a high band waits for
// that, and stops nobody who has endpoints.
func bandWithoutLimitStopsNone(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(10, store.NoOpinion))
	a.turn(func(s *store.Statement) {
		s.Loads, s.WantLoads, s.Capacity = []store.Load{{Endpoint: "x", Capacity: 1}}, true, 1
	})
	b.turn(nil)
	high := b.offer(1, "high", 0)
	high.Priority = 10
	b.turn(offers(high))
	a.turn(offers(a.offer(1, "f", 0)))
	want(t, "who has endpoints", a.grants(), "f/1")
	want(t, "who has none", b.grants(), "")
}

func higherPriorityFirst(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(10, 1), counting(0, 1), counting(-1, 1))
	at := func(n, priority int) store.Offer {
		o := a.offer(n, fmt.Sprint("p", priority), 0)
		o.Priority = priority
		return o
	}
	a.turn(offers(at(1, -1), at(2, 0), at(3, 10), at(4, 10)))
	want(t, "first", a.grants(), "p10/3")
	for _, next := range []string{"p10/4", "p0/2", "p-1/1", ""} {
		for i := range a.bands {
			a.bands[i].InFlight = 0
		}
		a.turn(nil)
		want(t, "next", a.grants(), next)
	}
}

func ceilingStopsABand(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(1, 4), counting(0, 2))
	low := func(n int) store.Offer {
		o := a.offer(n, "low", float64(n))
		o.Priority = 0
		return o
	}
	a.turn(offers(low(1), low(2), low(3)))
	want(t, "low band up to its ceiling", a.grants(), "low/1 low/2")
	a.turn(offers(a.offer(4, "high", 0), a.offer(5, "high", 1), a.offer(6, "high", 2)))
	want(t, "high band up to its own", a.grants(), "high/4 high/5")
}

// revokes has a higher band wait at a pool that two replicas filled with sheddable
// requests.
func revokes(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newParty(t, l, "a", counting(0, 4), counting(-1, 4)), newParty(t, l, "b", counting(0, 4), counting(-1, 4))
	a.bands[1].InFlight, b.bands[1].InFlight = 2, 2
	sheddable := map[*party][]store.Sheddable{
		a: {{Seq: 7, Priority: -1, Score: -300}, {Seq: 6, Priority: -1, Score: -100}},
		b: {{Seq: 9, Priority: -1, Score: -200}, {Seq: 8, Priority: -2, Score: 0}},
	}
	turn := func(p *party, revoking int64, os ...store.Offer) string {
		t.Helper()
		r := p.turn(func(s *store.Statement) {
			s.Evicts, s.Sheddable, s.Revoking, s.Offers = true, sheddable[p], revoking, os
		})
		return strings.Trim(fmt.Sprint(r.Revoke), "[]")
	}
	wakeups := l.Wakeups(ctx, "b")
	turn(a, 0)
	want(t, "nobody of a higher band waits", turn(b, 0), "")
	want(t, "two wait: the lowest priority's goes first, then the newest", turn(a, 0, a.offer(1, "f", 0), a.offer(2, "f", 0)), "7")
	select {
	case <-wakeups:
	case <-time.After(10 * time.Second):
		t.Fatal("a replica that has a request to revoke is not woken")
	}
	want(t, "b's part", turn(b, 0), "8")
	want(t, "again until a says so", turn(a, 0), "7")
	sheddable[a], sheddable[b] = sheddable[a][1:], sheddable[b][:1]
	want(t, "a revokes one", turn(a, 1), "")
	want(t, "b revokes the other", turn(b, 1), "")
	a.bands[1].InFlight, b.bands[1].InFlight = 1, 1
	turn(a, 0)
	want(t, "both are over", turn(b, 0), "")
	a.turn(nil)
	want(t, "and make room", a.grants(), "f/1 f/2")
}

// revokesOnce has one request wait at a pool that two replicas filled. While the one that is to revoke
// a request has yet to say so, another states one that would go before it: it is not revoked as well.
func revokesOnce(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 2), counting(-1, 2)), newParty(t, l, "b", counting(0, 2), counting(-1, 2))
	a.bands[1].InFlight, b.bands[1].InFlight = 1, 1
	turn := func(p *party, seq uint64, score float64, os ...store.Offer) string {
		t.Helper()
		r := p.turn(func(s *store.Statement) {
			s.Evicts, s.Sheddable, s.Offers = true, []store.Sheddable{{Seq: seq, Priority: -1, Score: score}}, os
		})
		return strings.Trim(fmt.Sprint(r.Revoke), "[]")
	}
	turn(a, 1, -100)
	turn(b, 2, -50)
	want(t, "one waits", turn(a, 1, -100, a.offer(1, "f", 0)), "1")
	want(t, "b has a newer one", turn(b, 3, -200), "")
	want(t, "a has not heard", turn(a, 1, -100), "")
	want(t, "so b is to", turn(b, 3, -200), "3")
}

func totals(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 2)), newParty(t, l, "b", counting(0, 2), counting(-1, 2))
	a.bands[0].Queued, a.bands[0].QueuedBytes = 3, 300
	b.bands[0].Queued, b.bands[0].QueuedBytes = 4, 400
	b.bands[1].Queued, b.bands[1].QueuedBytes = 1, 10
	b.bands[1].InFlight = 1
	a.turn(nil)
	b.turn(nil)
	r := a.turn(nil)
	if r.Queued != 8 || r.QueuedBytes != 710 || r.InFlight != 1 || r.Members != 2 {
		t.Errorf("totals: queued %d, bytes %d, in flight %d, members %d", r.Queued, r.QueuedBytes, r.InFlight, r.Members)
	}
	if len(r.Bands) != 1 || r.Bands[0].Queued != 7 || r.Bands[0].QueuedBytes != 700 {
		t.Errorf("band totals: %+v", r.Bands)
	}
}
