package memory

import (
	"cmp"
	"slices"

	"github.com/weirflow/weir/store"
)

// victim is a request that may be revoked, at its replica.
type victim struct {
	*replica
	store.Sheddable
}

// revoke returns which of the replica's requests in flight are to be revoked, and
// wakes others that have some: the first of the fleet's, by priority and score, for
// the class that goes next at a full pool. A class keeps what it is guaranteed, and gets
// that from any other; a band takes nothing from those that it shares with by weights.
func (l *Ledger) revoke(r *replica) []uint64 {
	if l.recovering {
		return nil
	}
	c, due := l.next()
	if c.none() || l.roomBeside(c, due, l.occupied()-l.float) || l.most <= 0 || !due && c.band.limit <= 0 {
		return nil
	}
	need := l.standing(c)
	if due {
		need = min(need, c.share.Room(l.has(c)))
	}
	revoking := int64(0)
	for _, other := range l.replicas {
		revoking += other.revoking
	}
	need -= revoking
	var victims []victim
	for _, other := range l.replicas {
		for _, s := range other.sheddable {
			if due && !c.holds(&s) || !due && s.Priority < c.band.priority && !l.sharesWith(c.band, s.Priority) {
				victims = append(victims, victim{other, s})
			}
		}
	}
	slices.SortFunc(victims, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Score, b.Score), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.id, b.id))
	})
	victims = l.beyondShares(victims, revoking)
	var mine []uint64
	for _, v := range victims[:min(max(need, 0), int64(len(victims)))] {
		if v.replica == r {
			mine = append(mine, v.Seq)
		} else {
			v.recall = true
		}
	}
	r.revoking += int64(len(mine))
	r.sheddable = slices.DeleteFunc(r.sheddable, func(s store.Sheddable) bool { return slices.Contains(mine, s.Seq) })
	return mine
}

// standing is how many offers of a class wait.
func (l *Ledger) standing(c class) (offers int64) {
	if c.band != nil {
		return c.band.standing("") + l.lineOf(c.band)
	}
	for _, bd := range l.bands {
		offers += bd.standing(c.group)
	}
	return offers
}

// holds reports whether a request in flight is of the class.
func (c class) holds(s *store.Sheddable) bool {
	if c.band != nil {
		return s.Priority == c.band.priority
	}
	return within(s.Group, c.group)
}

// beyondShares leaves out victims that their classes are guaranteed, as if all that are being
// revoked already were theirs.
func (l *Ledger) beyondShares(victims []victim, revoking int64) []victim {
	for c := range l.guaranteed() {
		spared, beyond := int64(0), l.has(c)-revoking-c.share.Kept()
		victims = slices.DeleteFunc(victims, func(v victim) bool {
			if !c.holds(&v.Sheddable) {
				return false
			}
			spared++
			return spared > beyond
		})
	}
	return victims
}
