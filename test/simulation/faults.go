package simulation

import (
	"fmt"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/store"
)

// Fault is something that goes wrong during a run.
type Fault string

// The faults. Loss, delay, reordering and duplication of turns and messages, wrong
// clocks and clients that hang up are in Config, since they go on all the time.
const (
	Crash     Fault = "crash"      // a replica dies and comes back
	Pause     Fault = "pause"      // a replica stops and goes on
	Stop      Fault = "stop"       // a replica stops for longer than its lease
	Wipe      Fault = "wipe"       // the ledger forgets everything
	Rollback  Fault = "rollback"   // the ledger is as it was a while ago
	Outage    Fault = "outage"     // the ledger is out of reach
	LedgerCut Fault = "ledger cut" // for one replica
	Split     Fault = "split"      // no messages between two replicas
	OneWay    Fault = "one way"    // in one direction
	Rumour    Fault = "rumour"     // gossip takes a live replica for dead
	Scale     Fault = "scale"      // a replica leaves in good order and comes back
	Strangers Fault = "strangers"  // who is no replica gossips
	Damage    Fault = "damage"     // what the ledger keeps is changed by others
	Astray    Fault = "astray"     // a replica reaches one endpoint of those it did
	Drain     Fault = "drain"      // nothing more is sent to an endpoint
	Failover  Fault = "failover"   // an endpoint fails a request, which goes to another
	Restart   Fault = "restart"    // a replica dies and is back at once
	Reload    Fault = "reload"     // each replica takes in other weights
	Jump      Fault = "jump"       // the ledger's clock is put forward or back
)

// Faults lists those that happen to any fleet. Stop is for those whose requests take long,
// Damage for those that Config.Damage is given for, Astray, Drain and Failover for those whose endpoints
// are bounded; Restart, Reload and Jump are for seeds from wider on.
var Faults = []Fault{Crash, Pause, Wipe, Rollback, Outage, LedgerCut, Split, OneWay, Rumour, Scale, Strangers}

// Break breaks the fleet on purpose, to prove that a check can fail.
type Break struct {
	Statement func(*store.Statement)
	Reply     func(*store.Reply)
	Message   func(*coordinator.Message)
	Request   func(*core.Request)
	Decision  func(*core.Decision) (again bool)
}

// disturbs reports whether the fault itself takes service from some flows, so that the
// measurement of fairness begins again after it. Other faults must not affect fairness.
func (x Fault) disturbs() bool {
	switch x {
	case Wipe, Split, OneWay, Rumour, Strangers, Failover:
		return false
	default:
		return true
	}
}

// plan draws when the fault happens and what it does.
func (f *fleet) plan(x Fault) {
	at := f.cfg.Length/8 + f.upTo(f.cfg.Length/4)
	n := f.nodes[f.rng.IntN(len(f.nodes))]
	other := f.nodes[(n.index+1+f.rng.IntN(max(1, len(f.nodes)-1)))%len(f.nodes)]
	lasts := 300*time.Millisecond + f.upTo(f.cfg.Length/6)
	over := func(what string, do func()) {
		f.after(at+lasts, fmt.Sprintf("%s of %s ends", what, n.id), func() {
			do()
			f.fault(x)
		})
	}
	begin := func() {}
	switch x {
	case Crash:
		begin = func() { f.dead++; n.crash() }
		over("crash", func() {
			f.dead--
			if !n.alive { // two crashes may overlap
				n.start()
			}
		})
	case Restart:
		lasts = f.upTo(300 * time.Millisecond)
		begin = func() { f.dead++; n.crash() }
		over("restart", func() {
			f.dead--
			if !n.alive {
				n.start()
			}
		})
	case Reload:
		lasts = time.Second
		begin = func() { f.reload(lasts) }
		over("reload", func() {})
	case Jump:
		by := f.upTo(6*time.Second) - 3*time.Second
		begin = func() { f.jump(by) }
	case Pause:
		begin = func() { f.dead++; n.pause(lasts) }
		over("pause", func() { f.dead--; f.kept(n, lasts) })
	case Stop:
		at += 2 * f.cfg.Service // how long requests take is known
		lasts += lease
		begin = func() { f.dead++; n.pause(lasts) }
		over("stop", func() { f.dead--; f.longestHeld = max(f.longestHeld, lasts) })
	case Wipe:
		begin = func() {
			f.forgetStopped(f.began)
			f.ledger.Wipe()
			f.wiped = f.now
			clear(f.holders)
		}
	case Damage:
		begin = f.damage
	case Rollback:
		f.recording = true
		back := f.upTo(2 * time.Second)
		begin = func() {
			to := f.now.Add(-back)
			f.forgetStopped(to)
			f.rollBack(to)
		}
	case Outage:
		begin = func() { f.down, f.before = true, f.granted() }
		over("outage", func() { f.down = false })
	case LedgerCut:
		begin = func() { n.ledgerCut = true; f.cutOff++; f.before = f.granted() }
		over("ledger cut", func() { n.ledgerCut = false; f.cutOff--; f.healed++; f.kept(n, lasts) })
	case Split, OneWay:
		if n == other {
			return
		}
		begin = func() { f.split(n, other, x == OneWay, lasts) }
	case Rumour:
		if n == other {
			return
		}
		begin = func() { f.rumour(n, other, lasts) }
	case Strangers:
		more := 1 + f.rng.IntN(30)
		begin = func() { f.gossipOf(more) }
		over("strangers", func() { f.gossipOf(-more) })
	case Astray:
		all, one := n.reach, n.reach[f.rng.IntN(len(n.reach))]
		begin = func() {
			f.astray++
			n.do(n.core, func() { n.reaches([]string{one}); n.pump() })
			n.reach = []string{one}
		}
		over("straying", func() {
			f.astray--
			f.repaid = f.now.Add(f.cfg.repayment(lasts))
			n.reach = all
			n.do(n.core, func() { n.reaches(all); n.pump() })
		})
	case Drain:
		e := endpoints[f.rng.IntN(len(endpoints))]
		begin = func() { f.drain(e, true) }
		over("draining", func() { f.drain(e, false) })
	case Failover:
		begin = func() { f.failOver(n) }
	case Scale:
		if len(f.nodes) < 2 {
			return
		}
		begin = func() { n.do(n.core, func() { n.core.Retire(n.now()); n.pump() }) }
		// It is gone for good once nothing waits in its queues; its clients come
		// again when it is back.
		over("scale in", func() {
			if n.alive {
				n.crash()
				n.start()
			}
		})
	}
	f.after(at, fmt.Sprintf("%s of %s", x, n.id), func() {
		begin()
		if x != Drain && x != Failover { // what is in flight there must hold up nobody
			f.fault(x)
		}
	})
}

// drain has nothing more sent to an endpoint, or again: each replica hears of it at a time of
// its own.
func (f *fleet) drain(endpoint string, drained bool) {
	f.drained[endpoint] = drained
	for _, n := range f.nodes {
		k := n.core
		f.after(f.upTo(100*time.Millisecond), "", func() {
			n.do(k, func() { n.reaches(n.reach); n.pump() })
		})
	}
}

// damage damages what the ledger keeps, as soon as there is such a thing, and every other time
// once more a little later.
func (f *fleet) damage() {
	if !f.damaged(false) {
		f.after(soon, "", f.damage)
		return
	}
	if f.rng.IntN(2) == 0 {
		f.after(f.upTo(soon), "", func() { f.damaged(true) })
	}
}

// soon is so little time that a ledger which began anew may not have heard of all replicas.
const soon = 15 * time.Millisecond

// damaged damages it now, and reports whether anything was.
func (f *fleet) damaged(again bool) bool {
	what := f.cfg.Damage(f.rng, again)
	if what == "" {
		return false
	}
	f.forgetStopped(f.began)
	f.log = append(f.log, fmt.Sprintf("%v %s", f.now.Sub(f.began), what))
	f.fault(Damage)
	return true
}

// forgetStopped notes which requests that began since then the ledger forgets for good, since
// their replica cannot say that it has them.
func (f *fleet) forgetStopped(since time.Time) {
	for id, x := range f.flights {
		if f.byID[id.Ingress].paused && x.began.After(since) {
			f.unknown[id] = true
		}
	}
}

// unknownFlights is how many requests are at the model servers that the ledger forgot.
func (f *fleet) unknownFlights() (n int64) {
	for id := range f.unknown {
		if _, running := f.flights[id]; running {
			n++
		} else {
			delete(f.unknown, id)
		}
	}
	return n
}

// granted is how many grants the ledger may have given: also those that a paused
// replica has not read count.
func (f *fleet) granted() int64 {
	if f.dead > 0 {
		return f.cfg.Limit
	}
	return int64(len(f.flights))
}

// fault notes that the ledger's counts may be wrong for a while.
func (f *fleet) fault(x Fault) {
	f.faulty = f.now
	if x.disturbs() {
		f.disturbed = f.now
	}
}
