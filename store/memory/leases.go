package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// begin starts a generation, in recovery: whatever the replicas stated is forgotten, but
// for what they held until they say so themselves, and the flows' counters are kept.
//
// It waits for as many as had leases, and as a recovery that was under way waited for: those
// who register first may not know of the others.
func (l *Ledger) begin(now time.Time) {
	expected := len(l.replicas)
	if l.recovering {
		expected = max(expected, l.expected)
	}
	l.lose(slices.Clone(l.replicas), now, l.cfg.Recovery)
	l.offers.Clear()
	l.generation = max(l.generation+1, uint64(now.UnixMicro()))
	l.recovering, l.recovered, l.expected = true, now.Add(l.cfg.Recovery), expected
}

// expire takes the leases that ran out, and forgets the lost whose time is over.
func (l *Ledger) expire(now time.Time) {
	var ended []*replica
	for _, r := range l.replicas {
		if !r.lease.After(now) {
			ended = append(ended, r)
		}
	}
	l.lose(ended, now, 0)
	for _, r := range slices.Clone(l.lost) {
		if !r.until.After(now) {
			l.free(r)
		}
	}
}

// replica returns the replica of that id if it has a lease, or nil.
func (l *Ledger) replica(id string) *replica { return named(l.replicas, id) }

// named returns the replica of that id, or nil.
func named(replicas []*replica, id string) *replica {
	for _, r := range replicas {
		if r.id == id {
			return r
		}
	}
	return nil
}

// register makes a fresh record of a replica that states everything.
func (l *Ledger) register(old *replica, s *store.Statement, now time.Time) *replica {
	if old != nil {
		l.drop(old, now)
	}
	if lost := named(l.lost, s.Replica); lost != nil {
		l.free(lost) // what it states now is the truth
		old = lost
	}
	r := &replica{id: s.Replica, incarnation: s.Incarnation, registered: s.Number, sent: s.ReadUpTo, seen: s.ReadUpTo}
	if old != nil && old.incarnation == s.Incarnation {
		r.batch = old.batch
	}
	insert(&l.replicas, r)
	return r
}

// renew keeps the lease and the liveness the replica states of others.
func (l *Ledger) renew(r *replica, s *store.Statement, now time.Time) {
	r.last = s.Number
	r.lease, r.longest, r.pace = now.Add(l.cfg.Lease), s.Longest, s.Pace
	l.foresight = store.Foresight(s.Longest)
	r.dead = append(r.dead[:0], s.Dead...)
	l.expected = max(l.expected, s.Members)
	for _, run := range s.Ended {
		if ended := l.replica(run.Replica); ended != nil && ended != r && ended.incarnation <= run.Incarnation && l.silent(ended, now) {
			l.drop(ended, now)
		}
		if lost := named(l.lost, run.Replica); lost != nil && lost.incarnation <= run.Incarnation {
			l.free(lost)
		}
	}
	for _, id := range s.Dead {
		if dead := l.replica(id); dead != nil && dead != r && l.silent(dead, now) && l.statedDeadByAll(dead) {
			l.lose([]*replica{dead}, now, 0)
		}
	}
}

// silent reports whether a replica has taken no turn for half its lease. A live one takes
// one every third: gossip may be cut where the ledger is not.
func (l *Ledger) silent(r *replica, now time.Time) bool { return r.lease.Sub(now) <= l.cfg.Lease/2 }

func (l *Ledger) statedDeadByAll(dead *replica) bool {
	for _, other := range l.replicas {
		if other != dead && !slices.Contains(other.dead, dead.id) {
			return false
		}
	}
	return true
}

// drop forgets a replica, and what it held.
func (l *Ledger) drop(r *replica, now time.Time) {
	l.end(r, now)
	l.free(r)
}

// end ends a replica's lease: its offers go, and the charges of grants and places in line
// that it never read go back. What it held stays counted.
func (l *Ledger) end(r *replica, now time.Time) {
	for i := range r.unread {
		m := &r.unread[i]
		if m.Kind&(store.Granted|store.Lined) != 0 {
			if n := nodeNamed(l.bands, m.Priority, m.Policy, m.Group); n != nil {
				n.settle(&store.Settlement{Flow: m.Flow, Delta: -m.Charge, Service: -m.Service, Counter: m.Counter}, false, now)
			}
		}
		r.forget(l, m)
	}
	l.removeOffers(now, func(o *offer) bool { return o.owner == r })
	for i := range r.bands {
		l.count(&r.bands[i], -1)
	}
	l.float -= r.float // it may have spent them: what it held is in flight, for all that is known
	l.inLine -= r.line
	l.forgive(r)
	l.release(r)
	l.loads.end(r)
	r.bands = nil
	l.replicas = slices.DeleteFunc(l.replicas, func(other *replica) bool { return other == r })
	l.fewer = true
}
