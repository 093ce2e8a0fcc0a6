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
// the band that goes next at a full pool. A band keeps what it is guaranteed, and gets
// that from any other.
func (l *Ledger) revoke(r *replica) []uint64 {
	if l.recovering {
		return nil
	}
	bd, due := l.next()
	if bd == nil || l.roomBeside(bd, due, l.occupied()-l.float) || l.highest <= 0 || !due && bd.limit <= 0 {
		return nil
	}
	need := bd.standing() + l.lineOf(bd)
	if due {
		need = min(need, bd.share.Room(bd.inFlight))
	}
	revoking := int64(0)
	for _, other := range l.replicas {
		revoking += other.revoking
	}
	need -= revoking
	var victims []victim
	for _, other := range l.replicas {
		for _, s := range other.sheddable {
			if s.Priority < bd.priority || due && s.Priority != bd.priority {
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
	return mine
}

// beyondShares leaves out victims that their bands are guaranteed, as if all that are being
// revoked already were theirs.
func (l *Ledger) beyondShares(victims []victim, revoking int64) []victim {
	spared := make(map[int]int64)
	return slices.DeleteFunc(victims, func(v victim) bool {
		bd := find(l.bands, v.Priority)
		if bd == nil || bd.share.Slots == 0 {
			return false
		}
		spared[v.Priority]++
		return spared[v.Priority] > bd.inFlight-revoking-bd.share.Kept()
	})
}
