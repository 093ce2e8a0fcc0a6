package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestLostLoads deletes what the ledger keeps of endpoints' loads, or spoils it: it is
// right again a second later, and every key has its time to live.
func TestLostLoads(t *testing.T) {
	for _, spoil := range []string{":load", ":tokens", ":loads:a", ":loads:b", ":places:a", ":places:b"} {
		t.Run(spoil, func(t *testing.T) {
			server, clock := miniredis.RunT(t), storetest.NewClock()
			l := open("redis://"+server.Addr())(t, clock.Now)
			var generation uint64
			turn := func(replica string, number uint64, edit func(*store.Statement)) string {
				t.Helper()
				s := &store.Statement{Replica: replica, Incarnation: 1, Number: number, Answered: number - 1, Generation: generation, Members: 2, WantLoads: true}
				edit(s)
				r, err := l.Turn(t.Context(), s)
				if err != nil || r.Status != store.OK {
					t.Fatalf("%v, %v", r, err)
				}
				generation = r.Generation
				var loads []string
				for _, l := range r.Loads {
					loads = append(loads, fmt.Sprintf("%s %d of %d, %d tokens, %d permits", l.Endpoint, l.InFlight, l.Capacity, l.Tokens, l.Permits))
				}
				return strings.Join(loads, "; ")
			}
			state := func(s *store.Statement) {
				s.Loads = []store.Load{{Endpoint: "x", InFlight: 2, Tokens: 7, Capacity: 9, Permits: 1}, {Endpoint: "y"}}
			}
			register := func(s *store.Statement) { s.Register, s.Answered = true, 0; state(s) }
			turn("a", 1, register)
			const want = "y 0 of 0, 0 tokens, 0 permits; x 4 of 9, 14 tokens, 2 permits"
			if got := turn("b", 1, register); got != want {
				t.Fatalf("loads %s, want %s", got, want)
			}
			base := baseOf(server, l)
			if !server.Del(base + spoil) {
				t.Fatalf("there is no %s", spoil)
			}
			clock.Advance(time.Second)
			turn("a", 2, state)
			turn("b", 2, state)
			clock.Advance(time.Second)
			if got := turn("a", 3, func(*store.Statement) {}); got != want {
				t.Errorf("two seconds later: loads %s, want %s", got, want)
			}
			for _, key := range server.Keys() {
				if server.TTL(key) <= 0 {
					t.Errorf("%s stays for ever", key)
				}
			}
		})
	}
}

// TestLoadsWithoutTheirReplicas deletes the records of all replicas, and the fleet's with them,
// but not what these had at endpoints: once they have registered the sums are right at once.
func TestLoadsWithoutTheirReplicas(t *testing.T) {
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l := open("redis://"+server.Addr())(t, clock.Now)
	register := func(replica string, number uint64) *store.Reply {
		t.Helper()
		r, err := l.Turn(t.Context(), &store.Statement{
			Replica: replica, Incarnation: 1, Number: number, Members: 2, Register: true, WantLoads: true,
			Loads:   []store.Load{{Endpoint: "x", InFlight: 1, Tokens: 3, Capacity: 9, Permits: 1}},
			Limited: []store.Limited{{Flow: "f", MaxInFlight: 5, InFlight: 1}},
		})
		if err != nil || r.Status != store.OK {
			t.Fatalf("%v, %v", r, err)
		}
		return r
	}
	check := func(what string, r *store.Reply) {
		t.Helper()
		if want := (store.Load{Endpoint: "x", InFlight: 2, Tokens: 6, Capacity: 9, Permits: 2}); len(r.Loads) != 1 || r.Loads[0] != want || r.Rooms[0].InFlight != 3 {
			t.Errorf("%s: %+v, room for %d of the flow; want %+v, and room for 3", what, r.Loads, r.Rooms[0].InFlight, want)
		}
	}
	register("a", 1)
	check("at first", register("b", 1))
	base := baseOf(server, l)
	if !server.Del(base) || !server.Del(base+":replicas") || !server.Exists(base+":loads:a") {
		t.Fatal("the keys are other ones")
	}
	register("a", 2)
	check("after the loss", register("b", 2))
}
