package memory

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// begin starts a generation, in recovery: whatever the replicas stated is forgotten, and
// the flows' counters are kept.
func (l *Ledger) begin(now time.Time) {
	for len(l.replicas) > 0 {
		l.drop(l.replicas[0], now)
	}
	l.offers = make(map[policies.TicketID]*offer)
	l.generation = max(l.generation+1, uint64(now.UnixMicro()))
	l.recovering, l.recovered, l.expected = true, now.Add(l.cfg.Recovery), 0
}

// expire drops every replica whose lease ran out.
func (l *Ledger) expire(now time.Time) {
	for _, r := range slices.Clone(l.replicas) {
		if !r.lease.After(now) {
			l.drop(r, now)
		}
	}
}

// replica returns the replica of that id if it has a lease, or nil.
func (l *Ledger) replica(id string) *replica {
	for _, r := range l.replicas {
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
	r := &replica{id: s.Replica, incarnation: s.Incarnation, registered: s.Number, sent: s.ReadUpTo, seen: s.ReadUpTo}
	if old != nil && old.incarnation == s.Incarnation {
		r.batch = old.batch
	}
	at, _ := slices.BinarySearchFunc(l.replicas, r.id, func(other *replica, id string) int { return strings.Compare(other.id, id) })
	l.replicas = slices.Insert(l.replicas, at, r)
	return r
}

// renew keeps the lease and the liveness the replica states of others.
func (l *Ledger) renew(r *replica, s *store.Statement, now time.Time) {
	r.last = s.Number
	r.lease = now.Add(l.cfg.Lease)
	r.dead = append(r.dead[:0], s.Dead...)
	l.expected = max(l.expected, s.Members)
	for _, id := range s.Dead {
		if dead := l.replica(id); dead != nil && dead != r && l.silent(dead, now) && l.statedDeadByAll(dead) {
			l.drop(dead, now)
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

// drop forgets a replica: its offers, what it held, and the charges of grants
// it never read.
func (l *Ledger) drop(r *replica, now time.Time) {
	for i := range r.unread {
		m := &r.unread[i]
		if m.Kind&store.Granted != 0 {
			if b := named(l.bands, m.Priority, m.Policy); b != nil {
				b.settle(m.Flow, -m.Charge, m.Counter, 0, now)
			}
		}
		r.forget(l, m)
	}
	l.removeOffers(now, func(o *offer) bool { return o.owner == r })
	for i := range r.bands {
		l.count(&r.bands[i], -1)
	}
	l.held -= r.held
	l.float -= r.float
	for id, n := range r.limited {
		if m := l.limits[id]; m != nil {
			m.held -= n
		}
	}
	l.loads.drop(r)
	r.bands, r.limited = nil, nil
	l.replicas = slices.DeleteFunc(l.replicas, func(other *replica) bool { return other == r })
	l.relimit()
}
