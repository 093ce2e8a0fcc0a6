package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/storetest"
)

// TestGroupOutlivesItsIdleness has a flow of a group come and go again for longer than keys
// live: its group's must be good at any time for as long as a counter is kept, though they are
// not renewed with each turn. Of a group that is seen once, nothing stays.
func TestGroupOutlivesItsIdleness(t *testing.T) {
	const keep, ttl, step = 40 * time.Second, 100 * time.Second, time.Second
	server, clock := miniredis.RunT(t), storetest.NewClock()
	l, err := Open(context.Background(), Config{
		URL: "redis://" + server.Addr(), Clock: clock.Now, KeyTTL: ttl, Timings: store.Timings{CounterKeep: keep}, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a test
	s := &store.Statement{Replica: "a", Incarnation: 1, Register: true, Members: 1, Bands: []store.Band{{Policy: "fair", CountsService: true}}}
	turn := func(group string) {
		t.Helper()
		s.Number++
		if group != "" {
			s.Offers = []store.Offer{{Ticket: policies.TicketID{Ingress: "a", Seq: s.Number}, Flow: "f", Charge: 1, Weight: 1, Idle: true, Group: group, IdleGroups: 2}}
		}
		r, err := l.Turn(t.Context(), s)
		if err != nil || r.Status != store.OK {
			t.Fatalf("turn %d: %v, %v", s.Number, r, err)
		}
		s.Withdrawn = nil
		for _, o := range s.Offers {
			s.Withdrawn = append(s.Withdrawn, o.Ticket)
		}
		s.Register, s.Generation, s.Answered, s.Offers = false, r.Generation, s.Number, nil
	}
	pass := func() {
		clock.Advance(step)
		server.FastForward(step)
	}
	turn("once/seen")
	for i := range 300 {
		turn("g/h")
		pass()
		turn("")
		pass()
		if i%7 == 6 { // it is idle for a while, in which nobody looks at it
			for range 15 {
				turn("")
				pass()
			}
		}
		for _, group := range []string{"g", "g/h"} {
			for _, key := range []string{"count", "wait", "idle"} {
				name := fmt.Sprintf("%s:%s:0:4:fair/%s", baseOf(server, l), key, group)
				if left := server.TTL(name); i%7 != 6 && left < keep {
					t.Fatalf("after %d rounds %s lives for %v more, less than the %v that a counter is kept", i, name, left, keep)
				}
			}
		}
	}
	for _, group := range []string{"once", "once/seen"} {
		if name := baseOf(server, l) + ":count:0:4:fair/" + group; server.Exists(name) {
			t.Errorf("%s is there yet", name)
		}
	}
}
