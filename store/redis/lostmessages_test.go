package redis

import (
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestLostMessages deletes the messages to a replica, a grant among them. The replica may have
// read the grant from a wake-up and dispatched it, in a statement later than the one
// under way: the slot must count until it has said anew what it has.
func TestLostMessages(t *testing.T) {
	server := miniredis.RunT(t)
	l := open("redis://"+server.Addr())(t, storetest.NewClock().Now)
	generation := uint64(0)
	turn := func(number uint64, edit func(*store.Statement)) *store.Reply {
		t.Helper()
		s := &store.Statement{
			Replica: "a", Incarnation: 1, Number: number, Answered: number - 1, Generation: generation, Members: 1,
			Bands: []store.Band{{Policy: "fair", CountsService: true, LiftsIdle: true, Limit: 1}},
		}
		edit(s)
		r, err := l.Turn(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		generation = r.Generation
		return r
	}
	offer := func(n uint64) store.Offer {
		return store.Offer{Ticket: policies.TicketID{Ingress: "a", Seq: n}, Flow: "f", Charge: 1, Score: float64(n)}
	}
	turn(1, func(s *store.Statement) { s.Register = true })
	if r := turn(2, func(s *store.Statement) { s.Offers = []store.Offer{offer(1), offer(2)} }); len(r.Messages) != 1 {
		t.Fatalf("messages %+v, want the grant of the one slot", r.Messages)
	}
	if !server.Del(baseOf(server, l) + ":messages:a") {
		t.Fatal("there are no messages to lose")
	}
	r := turn(3, func(*store.Statement) {})
	if r.Status != store.Register || len(r.Messages) != 0 {
		t.Fatalf("status %v, messages %+v, want register and no second grant", r.Status, r.Messages)
	}
	r = turn(4, func(s *store.Statement) {
		s.Register, s.Answered, s.Bands[0].InFlight = true, 0, 1
		s.Offers = []store.Offer{offer(2)}
	})
	if r.Status != store.OK || r.InFlight != 1 || len(r.Messages) != 0 {
		t.Errorf("registered: status %v, %d in flight, messages %+v; want the one slot taken", r.Status, r.InFlight, r.Messages)
	}
}
