package redis

import (
	"fmt"
	"testing"

	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestCachedIsCompared changes by hand what a library left cached: the next turn goes by what Redis
// has.
func TestCachedIsCompared(t *testing.T) {
	needs.Tool(t, "redis-server")
	server, clock := redistest.Start(t), storetest.NewClock()
	l := open(server.URL())(t, clock.Now)
	client := server.Client()
	s := &store.Statement{Replica: "a", Incarnation: 1, Register: true, Members: 1, Bands: []store.Band{{Policy: "fair", CountsService: true, Limit: 1, InFlight: 1}}}
	turn := func() *store.Reply {
		t.Helper()
		s.Answered, s.Number = s.Number, s.Number+1
		r, err := l.Turn(t.Context(), s)
		if err != nil || r.Status != store.OK {
			t.Fatal(r, err)
		}
		s.Register, s.Generation, s.Offers = false, r.Generation, nil
		return r
	}
	turn()
	s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: 1}, Flow: "f", Charge: 1, Weight: 1}}
	turn()
	root := l.(*Ledger).root
	kept, err := client.HMGet(t.Context(), root, "format", "epoch").Result()
	if err != nil {
		t.Fatal(err)
	}
	base := fmt.Sprint(root, ":", kept[0], ":", kept[1])
	for _, c := range []struct{ key, field, value string }{
		{":books", "0:4:fair", "7\x1f9\x1f1\x1f1\x1f0\x1f0\x1ffair\x1f0\x1f0"},
		{":offers", "0000000000000001:a", "0:4:fair\x1fg\x1f0\x1f3\x1f1\x1f8000000000000000\x1fa\x1f0\x1f0"},
	} {
		if n, err := client.HSet(t.Context(), base+c.key, c.field, c.value).Result(); err != nil || n != 0 {
			t.Fatalf("%s has no field %q: %d, %v", c.key, c.field, n, err)
		}
	}
	if b := turn().Bands[0]; b.VirtualTime != 7 || b.Level != 9 {
		t.Errorf("V %v and level %v, want what was written by hand, 7 and 9", b.VirtualTime, b.Level)
	}
	s.Bands[0].InFlight = 0
	if m := turn().Messages; len(m) != 1 || m[0].Flow != "g" || m[0].Charge != 3 {
		t.Errorf("messages %+v, want a grant to the flow g, at a charge of 3", m)
	}
}
