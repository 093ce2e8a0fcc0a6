package memory

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// lose ends the leases of replicas without proof that their requests ended: a stopped
// process, or one that was cut off, may have them in flight still. What they held stays
// counted until there is evidence, or until so much time has passed that they cannot, and
// that begins once they can let no more go by what they were given before: meanwhile from
// now. Which settlements of theirs were applied is known for as long: they may not have
// heard.
func (l *Ledger) lose(replicas []*replica, now time.Time, meanwhile time.Duration) {
	if len(replicas) == 0 {
		return
	}
	longest := l.longest()
	for _, r := range replicas {
		l.end(r, now)
		if r.held == 0 && r.batch == 0 {
			l.free(r)
			continue
		}
		r.until = now.Add(meanwhile + l.lastOf(r, longest))
		insert(&l.lost, r)
	}
}

// longest is how long requests took of late at most; 0 if none has ended.
func (l *Ledger) longest() (longest time.Duration) {
	for _, r := range l.replicas {
		longest = max(longest, r.longest)
	}
	return longest
}

// lastOf is for how long a replica that is lost now counts, given the longest request of
// any. None of its own may have ended because they take longer than all others.
func (l *Ledger) lastOf(r *replica, longest time.Duration) time.Duration {
	if r.longest == 0 || r.held == 0 {
		return l.cfg.KeepLost
	}
	return min(store.LostFactor*longest, l.cfg.KeepLost)
}

// free stops counting what a replica without a lease held.
func (l *Ledger) free(r *replica) {
	l.held -= r.held
	for id, n := range r.limited {
		l.countLimited(id, -n)
	}
	l.loads.free(r)
	l.lost = slices.DeleteFunc(l.lost, func(other *replica) bool { return other == r })
}

// nameLost fills in what the lost count for.
func (l *Ledger) nameLost(reply *store.Reply, now time.Time) {
	for _, r := range l.lost {
		if r.held == 0 {
			continue
		}
		reply.Lost = append(reply.Lost, store.Lost{Replica: r.id, Held: r.held, For: r.until.Sub(now)})
	}
}

// insert puts a replica in its place among others by their ids.
func insert(into *[]*replica, r *replica) {
	at, _ := slices.BinarySearchFunc(*into, r.id, func(other *replica, id string) int { return strings.Compare(other.id, id) })
	*into = slices.Insert(*into, at, r)
}
