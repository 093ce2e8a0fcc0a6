package shard

import (
	"math"
	"time"
)

// The buffer's caps are the fleet's, and so is the choice of who makes room: within a
// band the flow that holds most of the buffer for its weight loses its newest ticket, at
// the cap over all bands a flow of the lowest band. A flow that floods the buffer thus
// pays for it itself.
//
// Each owner knows its own flows. Of those elsewhere it knows how much they hold together
// and, while the buffer is nearly full, how much the largest of them does. If that one is
// larger than all here, a newcomer is let in and the other owner makes room once it hears
// of it, a turn later; see Trim. Until then the caps are overrun, but not by more than
// mayOverrun says: past that, room is made here.

// nearlyFull is how full the buffer is when it is time to ask what flows elsewhere hold.
const nearlyFull = 0.75

// amount is what waits, or may.
type amount struct{ requests, bytes int64 }

func (a amount) plus(b amount) amount { return amount{a.requests + b.requests, a.bytes + b.bytes} }

func (a amount) minus(b amount) amount { return amount{a.requests - b.requests, a.bytes - b.bytes} }

// beyond is what of it is above caps; a cap of 0 is none.
func (a amount) beyond(caps amount) (excess amount) {
	if caps.requests > 0 {
		excess.requests = max(0, a.requests-caps.requests)
	}
	if caps.bytes > 0 {
		excess.bytes = max(0, a.bytes-caps.bytes)
	}
	return excess
}

// within reports whether it is no more than the other, in requests and in bytes.
func (a amount) within(b amount) bool { return a.requests <= b.requests && a.bytes <= b.bytes }

// mayOverrun is what may wait beyond the caps until another owner has made room: a quarter
// of them, and of requests as many as may come in a turn where the cap is small.
func mayOverrun(caps amount) amount { return amount{max(64, caps.requests/4), caps.bytes / 4} }

// elsewhere is what flows at other replicas hold of a band's buffer.
type elsewhere struct {
	amount
	largest float64 // what the largest of them holds; known says whether that was learnt
	known   bool
}

// makeRoom displaces tickets until the caps are kept again, or someone else has to. The
// newcomer itself may be refused.
func (s *Set) makeRoom(it *item, now time.Time) (displaced []Ticket, refused *Refusal) {
	for {
		bd, why := s.crowded(it.flow.band)
		if bd == nil {
			return displaced, nil
		}
		largest := bd.holders.Min()
		if it.flow.band == bd && it.flow.share >= largest.share {
			largest = it.flow // of equals, the newcomer is refused
		}
		if s.largerElsewhere(bd, largest.share) && !s.overrun(bd) {
			return displaced, nil
		}
		victim := largest.newest
		s.remove(victim, now)
		if victim == it {
			return displaced, &Refusal{Cause: why}
		}
		displaced = append(displaced, victim.Ticket)
	}
}

// Trim displaces tickets of the flows that hold most of a full buffer, if these wait
// here.
func (s *Set) Trim(now time.Time) (displaced []Ticket) {
	s.lessKept()
	for i := 0; i < len(s.bands); {
		bd, _ := s.crowded(s.bands[i])
		if bd == nil || bd.waits.requests == 0 || s.largerElsewhere(bd, bd.holders.Min().share) {
			i++
			continue
		}
		victim := bd.holders.Min().newest
		s.remove(victim, now)
		displaced = append(displaced, victim.Ticket)
	}
	return displaced
}

// crowded returns the band that has to make room after a ticket came to bd, and whose cap
// is the cause; nil while the caps are kept.
func (s *Set) crowded(bd *band) (*band, Cause) {
	switch {
	case !bd.excess().within(bd.kept):
		return bd, BandFull
	case !s.excess().within(s.kept):
		return s.lowest(), BufferFull
	}
	return nil, UnknownCause
}

// excess is what waits in the band beyond its caps, over the fleet.
func (bd *band) excess() amount {
	return bd.waits.plus(bd.elsewhere.amount).beyond(amount{bd.cfg.MaxRequests, bd.cfg.MaxBytes})
}

// excess is what waits in all bands beyond their caps, over the fleet.
func (s *Set) excess() amount {
	return s.waits.plus(s.others).beyond(amount{s.cfg.MaxRequests, s.cfg.MaxBytes})
}

// keepExcess lets stay what is beyond the caps now, as after a change of these.
func (s *Set) keepExcess() {
	s.kept = s.excess()
	for _, bd := range s.bands {
		bd.kept = bd.excess()
	}
}

// lessKept notes that what was kept beyond the caps has gone, as far as it has.
func (s *Set) lessKept() {
	lower := func(kept *amount, excess amount) {
		*kept = amount{min(kept.requests, excess.requests), min(kept.bytes, excess.bytes)}
	}
	lower(&s.kept, s.excess())
	for _, bd := range s.bands {
		lower(&bd.kept, bd.excess())
	}
}

// largerElsewhere reports whether a flow at another replica holds more of the buffer than
// that share of the band's.
func (s *Set) largerElsewhere(bd *band, share float64) bool {
	if bd.excess().within(bd.kept) && s.lowestElsewhere != bd.priority {
		return s.lowestElsewhere < bd.priority
	}
	return bd.largestElsewhere() > share
}

// largestElsewhere is what the largest flow at another replica holds of the band's
// buffer, for its weight. Until that is known, what waits elsewhere is taken for one
// flow's.
func (bd *band) largestElsewhere() float64 {
	if bd.elsewhere.known {
		return bd.elsewhere.largest
	}
	return bd.part(bd.elsewhere.amount)
}

// part is how much of the band's buffer that is: the larger of its parts of the two caps.
func (bd *band) part(a amount) float64 {
	return max(float64(a.requests)/float64(bd.cfg.MaxRequests), float64(a.bytes)/float64(bd.cfg.MaxBytes))
}

// overrun reports whether so much waits beyond the caps that room must be made here.
func (s *Set) overrun(bd *band) bool {
	return !bd.excess().within(bd.kept.plus(mayOverrun(amount{bd.cfg.MaxRequests, bd.cfg.MaxBytes}))) ||
		!s.excess().within(s.kept.plus(mayOverrun(amount{s.cfg.MaxRequests, s.cfg.MaxBytes})))
}

// lowest returns the lowest band with tickets; one without any if there is none.
func (s *Set) lowest() *band {
	for i := len(s.bands) - 1; i > 0; i-- {
		if s.bands[i].waits.requests > 0 {
			return s.bands[i]
		}
	}
	return s.bands[0]
}

// NearlyFull reports whether it is time to ask what flows elsewhere hold of the buffer.
func (s *Set) NearlyFull() bool {
	if all := s.FillOfAll(); max(all.Requests, all.Bytes) >= nearlyFull {
		return true
	}
	for _, bd := range s.bands {
		if bd.part(bd.waits.plus(bd.elsewhere.amount)) >= nearlyFull {
			return true
		}
	}
	return false
}

// Largest returns what the flow that holds most of a band's buffer here holds of it, for
// its weight.
func (s *Set) Largest(priority int) float64 {
	if bd := s.find(priority); bd != nil && bd.waits.requests > 0 {
		return bd.holders.Min().share
	}
	return 0
}

// Elsewhere takes in what the largest flow at another replica holds of a band's buffer.
func (s *Set) Elsewhere(priority int, largest float64) {
	if bd := s.find(priority); bd != nil {
		bd.elsewhere.largest, bd.elsewhere.known = largest, true
	}
}

// LowestElsewhere takes in the lowest priority at which anything waits in the fleet.
func (s *Set) LowestElsewhere(priority int) { s.lowestElsewhere = priority }

// NothingElsewhere takes in that nothing waits in the fleet.
func (s *Set) NothingElsewhere() { s.lowestElsewhere = math.MaxInt }

// NobodyElsewhere says that no other replica will make room for what comes here, as in an
// outage: each makes its own.
func (s *Set) NobodyElsewhere() {
	s.NothingElsewhere()
	for _, bd := range s.bands {
		bd.elsewhere.largest, bd.elsewhere.known = 0, true
	}
}
