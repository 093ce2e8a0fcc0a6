package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// Bands that want little pass: their requests go in the slots that end at their ingresses, before
// all others, and the line of a band below them stands beside that. A band wants little where all
// that it has in flight, and that waits, would be in flight at once with that of those above it: each
// of its requests is next then, whatever the order. See [store.Reply].

// passing returns which bands pass, those above that one, and whether any do. What is guaranteed
// something, or shares by weights, is not in the order of the bands, so beside it none passes.
// Nor does any while more is in flight than the limits allow.
func (l *Ledger) passing() (above int, some bool) {
	if l.recovering || len(l.floors) > 0 || l.occupied() > l.most {
		return 0, false
	}
	wanted := int64(0)
	for _, bd := range l.bands { // highest priority first
		if bd.share.Slots > 0 || bd.weighed.Weight > 0 {
			return 0, false
		}
		if wanted += bd.inFlight + bd.queued; bd.priority == l.lined {
			wanted += l.inLine
		}
		if !some && (bd.limit != l.most || wanted > l.most) {
			above, some = bd.priority, true
		}
	}
	return above, some
}

// passWait reports whether something that passes waits.
func (l *Ledger) passWait(above int, some bool) bool {
	for _, bd := range l.bands {
		if some && bd.priority > above && bd.waits("") {
			return true
		}
	}
	return false
}

// namePassing fills in which bands pass, and what the replica should know of them. Of those where
// a line stands, the one that has the most slots gives some up for those that wait.
func (l *Ledger) namePassing(reply *store.Reply, r *replica, now time.Time) {
	reply.PassAbove, reply.MayPass = l.passing()
	if !reply.MayPass {
		return
	}
	waiting := int64(0)
	for _, bd := range l.bands {
		if bd.priority <= reply.PassAbove {
			break
		}
		reply.PassLately = reply.PassLately || now.Sub(bd.offered) < quietFor
		if bd.waits("") {
			reply.PassWait = true
			waiting += max(1, bd.queued)
		}
	}
	if waiting > 0 && l.mostSlots() == r {
		reply.Yield = waiting
	}
}

// mostSlots returns the replica that has the most slots of those where a line stands; nil for none.
func (l *Ledger) mostSlots() (most *replica) {
	for _, r := range l.replicas {
		if r.line > 0 && (most == nil || r.held > most.held) {
			most = r
		}
	}
	return most
}
