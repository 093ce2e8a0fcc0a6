package simulation

import (
	"context"
	"errors"
	"time"

	"github.com/weirflow/weir/store"
)

const lease = 3 * time.Second

const peerTimeout = 500 * time.Millisecond

var errLost = errors.New("lost on the way")

// takeTurn takes a statement to the ledger and its reply back, unless either is
// lost.
func (n *node) takeTurn(s *store.Statement) {
	f, k := n.fleet, n.core
	f.turns++
	done := func(reply *store.Reply, err error) {
		registers := s.Register
		n.do(k, func() {
			k.TurnDone(n.now(), reply, err)
			n.registered = n.registered || err == nil && registers && reply.Status == store.OK
			n.pump()
		})
	}
	lost := func() { f.after(50*time.Millisecond, "", func() { done(nil, errLost) }) }
	requestLost, replyLost := f.rng.Float64() < f.cfg.Loss, f.rng.Float64() < f.cfg.Loss
	arrives := f.now.Add(50*time.Microsecond + f.upTo(200*time.Microsecond) + n.roundTrip()/2)
	if f.busy = f.busy.Add(f.cfg.TurnCost); f.busy.Before(arrives) {
		f.busy = arrives
	}
	f.after(f.busy.Sub(f.now), "", func() {
		if requestLost || f.down || n.ledgerCut || !n.alive || n.core != k {
			if requestLost && f.cfg.Late {
				n.arriveLate(s)
			}
			lost()
			return
		}
		if f.cfg.Break.Statement != nil {
			f.cfg.Break.Statement(s)
		}
		f.record(s)
		reply, err := f.ledger.Turn(context.Background(), s)
		n.forgotten = n.forgotten && err != nil
		f.wake()
		if err != nil || replyLost {
			lost()
			return
		}
		if f.cfg.Break.Reply != nil {
			f.cfg.Break.Reply(reply)
		}
		f.after(50*time.Microsecond+n.roundTrip()/2, "", func() { done(reply, nil) })
	})
}

// arriveLate takes a statement to the ledger once its replica has given the turn up, or died.
func (n *node) arriveLate(s *store.Statement) {
	f, late := n.fleet, copied(s)
	f.after(50*time.Millisecond+f.upTo(400*time.Millisecond), "", func() {
		if f.down || n.ledgerCut {
			return
		}
		if f.cfg.Break.Statement != nil {
			f.cfg.Break.Statement(late)
		}
		f.record(late)
		_, _ = f.ledger.Turn(context.Background(), late) // nobody waits for the answer
		f.wake()
	})
}

// wake passes the ledger's wake-ups on, a few of them lost.
func (f *fleet) wake() {
	for _, n := range f.nodes {
		if !n.alive {
			continue
		}
		for pending := true; pending; {
			select {
			case w := <-n.wakeups:
				n.wake(w)
			default:
				pending = false
			}
		}
	}
}

// wake passes one on, sometimes late.
func (n *node) wake(w store.Wakeup) {
	f := n.fleet
	if f.rng.Float64() < f.cfg.Loss || n.ledgerCut || f.down {
		return
	}
	late := 100*time.Microsecond + n.roundTrip()/2
	if f.rng.IntN(20) == 0 {
		late = time.Duration(f.rng.Int64N(int64(5 * time.Second)))
	}
	k := n.core
	f.after(late, "", func() {
		n.do(k, func() {
			k.Wake(n.now(), &w)
			n.pump()
		})
	})
}
