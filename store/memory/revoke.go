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
// the highest band that waits at a full pool.
func (l *Ledger) revoke(r *replica) []uint64 {
	if l.recovering {
		return nil
	}
	i := slices.IndexFunc(l.bands, func(bd *band) bool { return bd.offers > 0 })
	if i < 0 || l.held-l.float < l.bands[i].limit || l.bands[i].limit <= 0 {
		return nil
	}
	need := int64(l.bands[i].offers)
	var victims []victim
	for _, other := range l.replicas {
		need -= other.revoking
		for _, s := range other.sheddable {
			if s.Priority < l.bands[i].priority {
				victims = append(victims, victim{other, s})
			}
		}
	}
	slices.SortFunc(victims, func(a, b victim) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Score, b.Score), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.id, b.id))
	})
	var mine []uint64
	for _, v := range victims[:min(max(need, 0), int64(len(victims)))] {
		if v.replica == r {
			mine = append(mine, v.Seq)
		} else {
			v.recall = true
		}
	}
	return mine
}
