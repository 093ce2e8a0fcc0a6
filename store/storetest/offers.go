package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

func messagesStayUntilRead(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	b.turn(nil)
	// The reply with the grant is lost.
	lost := a.statement(offers(a.offer(1, "f", 0)))
	if _, err := l.Turn(context.Background(), lost); err != nil {
		t.Fatal(err)
	}
	b.turn(offers(b.offer(1, "g", 0)))
	want(t, "b while a's grant is unread", b.grants(), "")
	a.register = false
	a.generation, a.answered = b.generation, 0
	a.turn(nil)
	want(t, "a in its next turn", a.grants(), "f/1")
	if r := a.turn(nil); len(r.Messages) != 0 {
		t.Errorf("%d messages after they were read", len(r.Messages))
	}
	a.finish(1)
	a.turn(nil)
	b.turn(nil)
	want(t, "b after a's release", b.grants(), "g/1")
}

// neverSent: a replica that says that it has read messages which the ledger never sent would take
// none of those up to there, and must register; then it gets what is next.
func neverSent(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	want(t, "a", a.grants(), "f/1")
	a.finish(1)
	s := a.statement(offers(a.offer(2, "f", 0)))
	s.ReadUpTo = 100
	reply, err := l.Turn(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Status != store.Register || len(reply.Messages) != 0 {
		t.Fatalf("status %v, messages %+v, want register and no grant", reply.Status, reply.Messages)
	}
	a.register, a.answered, a.read = true, 0, 0
	a.turn(offers(a.offer(2, "f", 0)))
	want(t, "a registered", a.grants(), "f/2")
}

func repeatedTurn(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 2))
	a.turn(nil)
	s := a.statement(offers(a.offer(1, "f", 0)))
	reply, err := l.Turn(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	a.take(s, reply)
	again, err := l.Turn(context.Background(), s) // arrives late, a second time
	if err != nil {
		t.Fatal(err)
	}
	if again.InFlight != 1 {
		t.Errorf("in flight %d after a repeated turn, want 1", again.InFlight)
	}
	a.turn(nil)
	want(t, "grants", a.grants(), "f/1")
}

func withdrawnIsNotGranted(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1), a.offer(3, "f", 2)))
	r := a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(2)} })
	if r.Status != store.OK {
		t.Errorf("status %v", r.Status)
	}
	a.finish(1)
	a.turn(nil)
	want(t, "grants", a.grants(), "f/1 f/3")
}

func withdrawnWhenGranted(t *testing.T, l store.Ledger, _ *Clock) {
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	b.turn(offers(b.offer(1, "g", 0)))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	b.finish(1)
	b.turn(nil) // grants f/1 to a
	r := a.turn(func(s *store.Statement) { s.Withdrawn = []policies.TicketID{a.ticket(1)} })
	if r.Status != store.OK {
		t.Errorf("status %v for a withdrawal that crossed its grant", r.Status)
	}
	want(t, "the grant arrives all the same", a.grants(), "f/1")
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("status %v in the turn after", r.Status)
	}
}

func newOwnerReplaces(t *testing.T, l store.Ledger, _ *Clock) {
	in := newParty(t, l, "in", counting(0, 1))
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	in.turn(offers(in.offer(1, "busy", 0)))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(in.offer(2, "f", 0)))
	b.turn(offers(in.offer(2, "f", 0)))
	r := a.turn(nil)
	if len(r.Messages) != 1 || r.Messages[0].Kind != store.Dropped {
		t.Fatalf("the old owner's messages: %+v, want one that says dropped", r.Messages)
	}
	in.finish(1)
	in.turn(nil)
	want(t, "granted once", in.grants(), "busy/1 f/2")
	if r := b.turn(nil); len(r.Messages) != 1 || r.Messages[0].Kind != store.Taken || r.Status != store.OK {
		t.Errorf("the new owner's answer: %v %+v, want one message that says taken", r.Status, r.Messages)
	}
	if r := a.turn(nil); r.Status != store.OK {
		t.Errorf("the old owner's status: %v", r.Status)
	}
}

func grantedNotOfferedAgain(t *testing.T, l store.Ledger, _ *Clock) {
	in := newParty(t, l, "in", counting(0, 4))
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	in.turn(nil)
	b.turn(nil)
	lost := a.statement(offers(in.offer(1, "f", 0)))
	if _, err := l.Turn(context.Background(), lost); err != nil { // granted; a has not read so
		t.Fatal(err)
	}
	r := b.turn(offers(in.offer(1, "f", 0)))
	if len(r.Messages) != 1 || r.Messages[0].Kind != store.Taken || r.Status != store.OK {
		t.Errorf("a second owner's answer: %v %+v, want one message that says taken", r.Status, r.Messages)
	}
	in.turn(nil)
	want(t, "granted once", in.grants(), "f/1")
}

func droppedIsNotTaken(t *testing.T, l store.Ledger, _ *Clock) {
	gone := newParty(t, l, "gone", counting(0, 4)) // it has no lease
	a, b := newParty(t, l, "a", counting(0, 4)), newParty(t, l, "b", counting(0, 4))
	a.turn(nil)
	b.turn(nil)
	for _, owner := range []*party{a, b} { // a has not said that it has read its message when b offers
		r := owner.turn(offers(gone.offer(1, "f", 0)))
		if len(r.Messages) != 1 || r.Messages[0].Kind != store.Dropped {
			t.Errorf("the messages of %s: %+v, want one that says dropped", owner.id, r.Messages)
		}
	}
	gone.turn(nil)
	a.turn(offers(gone.offer(1, "f", 0)))
	gone.turn(nil)
	want(t, "granted once it has a lease", gone.grants(), "f/1")
}

func oldMessageForgetsNoGrant(t *testing.T, l store.Ledger, _ *Clock) {
	in, a, b := newParty(t, l, "in", counting(0, 1)), newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	b.turn(nil)
	a.turn(nil)
	a.unheard(offers(in.offer(1, "f", 0)))
	in.turn(offers(in.offer(2, "busy", 0)))
	a.turn(offers(in.offer(1, "f", 0)))
	in.finish(1)
	in.turn(nil) // grants in/1
	if r := a.turn(nil); len(r.Messages) != 1 || r.Messages[0].Kind != store.Taken {
		t.Fatalf("the messages of a: %+v, want one that says taken", r.Messages)
	}
	if r := b.turn(offers(in.offer(1, "f", 0))); len(r.Messages) != 1 || r.Messages[0].Kind != store.Taken {
		t.Errorf("the messages of b: %+v, want one that says taken", r.Messages)
	}
	in.turn(nil)
	in.finish(1)
	in.turn(nil)
	want(t, "granted once", in.grants(), "busy/2 f/1")
}

func full(t *testing.T, l store.Ledger, _ *Clock) {
	a := newParty(t, l, "a", counting(0, 1))
	a.turn(offers(a.offer(1, "f", 0), a.offer(2, "f", 1)))
	a.full = true
	a.turn(offers(a.offer(5, "f", 1)))
	a.finish(1)
	a.turn(nil)
	want(t, "only what was repeated stands", a.grants(), "f/1 f/5")
}

func grantWakes(t *testing.T, l store.Ledger, _ *Clock) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a, b := newParty(t, l, "a", counting(0, 1)), newParty(t, l, "b", counting(0, 1))
	a.turn(nil)
	b.turn(nil)
	a.turn(offers(a.offer(1, "f", 0)))
	b.turn(offers(b.offer(1, "g", 0)))
	wakeups := l.Wakeups(ctx, "b")
	deadline := time.After(10 * time.Second)
	a.finish(1)
	a.turn(nil)
	select {
	case w := <-wakeups:
		if w.Incarnation != b.inc || w.Registered != 1 || len(w.Messages) != 1 {
			t.Fatalf("woken by %+v, want the one message of the registration by statement 1", w)
		}
		if m := w.Messages[0]; m.Ticket != b.ticket(1) || m.Flow != "g" || m.Kind&store.Granted == 0 || m.Charge != 1 {
			t.Errorf("the message is %+v, want the grant of g/1", m)
		}
	case <-deadline:
		t.Fatal("no wake-up for a grant that another replica's turn made")
	}
	b.turn(nil)
	want(t, "b", b.grants(), "g/1")
	cancel()
	for {
		select {
		case _, open := <-wakeups:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("the channel is not closed when its context ends")
		}
	}
}
