package core

import (
	"time"

	"github.com/weirflow/weir/store"
)

// Permits at endpoints that have limits: where this replica may send a request without a grant for
// it, in the slot of one that ended here or by its float. The invariant is written at loads.

// permits is how many more requests may be at an endpoint than there are.
func (l *loads) permits(endpoint string) int64 {
	return max(0, l.counted[endpoint]-l.here[endpoint].requests)
}

// mayHave reports whether an endpoint may have another of this replica's requests.
func (l *loads) mayHave(now time.Time, endpoint string) bool {
	capacity, listed := l.listed[endpoint]
	return listed && (capacity == 0 || l.spends(now) && l.open(endpoint))
}

// nowhere reports whether a request that is granted for an endpoint has none to go to: that one has
// left the pool meanwhile, and there is no permit elsewhere.
func (l *loads) nowhere(now time.Time, granted string) bool {
	if _, listed := l.listed[granted]; !l.bounded || granted == "" || listed {
		return false
	}
	return l.least(func(endpoint string) bool { return l.mayHave(now, endpoint) }) == ""
}

// choose returns the endpoint with a permit to which a request goes: the one that it prefers, or
// else the one with the least load, as far as is known; empty if there is none.
func (l *loads) choose(prefer string) string {
	if l.open(prefer) {
		return prefer
	}
	return l.least(l.open)
}

// open reports whether there is a permit at an endpoint, and that is still the pool's.
func (l *loads) open(endpoint string) bool {
	_, listed := l.listed[endpoint]
	return listed && l.permits(endpoint) > 0
}

// place counts a request where it went, whether there was room for it or not.
func (l *loads) place(r *request, endpoint string) {
	switch full := l.bounded && r.endpoint != endpoint && l.listed[endpoint] > 0 && l.permits(endpoint) == 0; {
	case full && r.placed:
		l.excess.add(endpoint, 1)
	case full:
		l.excess.elsewhere = true
	}
	r.placed = true
	l.move(r, endpoint)
}

// giveUp gives up the slot of a request that left an endpoint which has more than it takes.
func (l *loads) giveUp(endpoint string) {
	if l.excess.at[endpoint] == 0 {
		return
	}
	l.excess.add(endpoint, -1)
	if l.permits(endpoint) > 0 {
		l.counted[endpoint]--
	}
}

// granted counts a grant that the ledger counts at an endpoint.
func (l *loads) granted(endpoint string) {
	if l.bounded && endpoint != "" {
		l.counted[endpoint]++
	}
}

// keeps reports whether there is a permit, to be spent or not.
func (l *loads) keeps() bool {
	for endpoint := range l.counted {
		if l.permits(endpoint) > 0 {
			return true
		}
	}
	return false
}

// returnPermits has those stated that may not be spent any more: they are returned.
func (l *loads) returnPermits(now time.Time, s *store.Statement) {
	if len(l.counted) == 0 || l.spends(now) {
		return
	}
	for endpoint := range l.counted {
		if l.permits(endpoint) > 0 {
			l.changed[endpoint] = true
		}
	}
}

// given takes in which permits the ledger gave.
func (l *loads) given(s *store.Statement, r *store.Reply) {
	kept := make(map[string]int64, len(s.Loads))
	for i := range s.Loads {
		kept[s.Loads[i].Endpoint] = s.Loads[i].Permits
	}
	for _, p := range r.Permits {
		l.share[p.Endpoint] = p.Permits
		l.counted[p.Endpoint] += p.Permits - kept[p.Endpoint]
	}
}
