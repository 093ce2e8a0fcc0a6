package core

import "time"

// slots has a request counted by every part that counts it, from when it goes until it ends,
// whichever way it went: by a grant, from the line, by float, or in an outage.
type slots struct {
	exchange    *exchange
	requests    *requests
	bands       *bands
	durations   *durations
	limits      *limits
	maxima      *maxima
	loads       *loads
	revocations *revocations
	holding     *holding
}

// take lets a request go, to an endpoint that has that load; empty for one that its session
// chooses.
func (s *slots) take(now time.Time, r *request, endpoint string, load int64) *Decision {
	s.loads.arrive(r, endpoint)
	revocable := s.revocations.dispatched(now, r)
	s.durations.began(now, r)
	s.limits.count(r.Flow.ID, 1)
	s.maxima.count(r.Flow, 1)
	s.holding.dispatched(now, r)
	s.bands.of(now, r.Flow.Priority).Capacity().InFlight++
	d := s.requests.decide(r, Dispatched, nil)
	d.Revocable, d.Endpoint, d.EndpointInFlight, d.Preferred = revocable, endpoint, load, r.prefers(endpoint)
	return d
}

// free takes in that a request in flight ended, and reports whether it is charged for how
// long it held its slot.
func (s *slots) free(now time.Time, r *request) (byTime bool) {
	s.requests.forget(r)
	s.revocations.ended(r)
	s.durations.ended(now, r)
	s.limits.count(r.Flow.ID, -1)
	s.maxima.count(r.Flow, -1)
	s.loads.depart(r)
	if s.exchange.outage {
		s.limits.room(now, r.Flow.ID, 1, 1)
		s.maxima.ended(r.Flow)
	}
	s.bands.of(now, r.Flow.Priority).Capacity().InFlight--
	if s.limits.bind(r.Flow) || s.maxima.bind(r.Flow) || s.loads.scarce { // others may wait for its place under the limit, or at its endpoint
		s.exchange.agenda.due = true
	}
	return s.holding.ended(now, r)
}
