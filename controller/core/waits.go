package core

import "time"

// waits is how long requests may wait, and how waits end by which nobody goes.
type waits struct {
	cfg      *Config
	requests *requests
	bands    *bands
	handover *handover
	line     *line
}

// begin has a request wait.
func (w *waits) begin(now time.Time, r *request) {
	w.requests.wait(r, w.budget(r))
	w.handover.enter(now, r)
}

// budget is how long a request may wait as things are; 0 for no limit.
func (w *waits) budget(r *request) time.Duration {
	if w.bands.pool.Endpoints == 0 {
		return max(0, w.cfg.NoEndpointTTL)
	}
	ttl := w.cfg.TTL
	if own := w.cfg.Shard.Band(r.Flow.Priority).TTL; own != nil {
		ttl = *own
	}
	if r.ttl > 0 && (ttl == 0 || r.ttl < ttl) {
		return r.ttl
	}
	return ttl
}

// rebudget gives every waiting request the budget that counts now.
func (w *waits) rebudget(now time.Time) {
	for r := range w.requests.came.All() {
		w.budgeted(r)
	}
	w.expire(now)
}

// budgeted gives a waiting request the budget that counts now. A ticket ahead of its request has none.
func (w *waits) budgeted(r *request) {
	if !r.ahead() {
		w.requests.wait(r, w.budget(r))
	}
}

// expire evicts requests whose time is up.
func (w *waits) expire(now time.Time) {
	for r := w.requests.deadlines.expired(now); r != nil; r = w.requests.deadlines.expired(now) {
		if w.bands.pool.Endpoints == 0 {
			w.evict(now, r, EvictedNoEndpoints, ErrNoEndpoints)
		} else {
			w.evict(now, r, EvictedTTL, ErrTTLExpired)
		}
	}
}

// evict ends a request's wait without dispatching it.
func (w *waits) evict(now time.Time, r *request, outcome Outcome, err error) {
	if r.inLine() {
		w.line.leave(r)
	} else {
		w.handover.withdraw(now, r)
	}
	w.requests.decide(r, outcome, err)
}

// evictAll ends every wait, in the order in which the requests came.
func (w *waits) evictAll(now time.Time, outcome Outcome, err error) {
	for r := range w.requests.came.All() {
		w.evict(now, r, outcome, err)
	}
}
