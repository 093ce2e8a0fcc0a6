package core

import (
	"time"

	"github.com/weirflow/weir/internal/list"
)

// holding charges requests in flight for the time that they hold their slots, where the
// fairness policy charges by that: as the time passes, so that a flow pays for a long
// request before it ends.
//
// Invariant: held has the requests in flight, in the order they were dispatched, whose
// began is set.
type holding struct {
	cfg     *Config
	bands   *bands
	charges *charges

	held    list.List[*request]
	charged time.Time // when they were last looked at
}

// dispatched notes that a request holds a slot from now on.
func (h *holding) dispatched(now time.Time, r *request) {
	if r.charge == 0 || !h.bands.of(now, r.Flow.Priority).Account().ByTime {
		return
	}
	r.began, r.heldNode.Value = now, r
	h.held.PushBack(&r.heldNode)
}

// ended notes that it does so no more, and for how long it did. It reports whether it is
// charged for that.
func (h *holding) ended(now time.Time, r *request) bool {
	if r.began.IsZero() {
		return false
	}
	r.heldNode.Remove()
	r.Held = max(now.Sub(r.began), time.Nanosecond)
	return true
}

// pass charges for the time that has passed, beyond what was expected.
func (h *holding) pass(now time.Time) {
	if h.held.Empty() || now.Sub(h.charged) < h.cfg.Timings.HeldCharged {
		return
	}
	h.charged = now
	for r := range h.held.All() {
		t := r.Ticket
		t.Held = now.Sub(r.began)
		if charge := h.cfg.Shard.Charge(&t); charge > r.charge {
			h.charges.correct(r, charge, 0)
		}
	}
}

// next is when pass is due, no later than the time given.
func (h *holding) next(latest time.Time) time.Time {
	if h.held.Empty() {
		return latest
	}
	return earlier(latest, h.charged.Add(h.cfg.Timings.HeldCharged))
}
