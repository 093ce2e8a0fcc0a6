package core

import (
	"time"

	"github.com/weirflow/weir/store"
)

// surplus is how many of this replica's slots go elsewhere as they become free. Beside a far
// ledger a slot is on its way for a turn and more, and what a replica knows of its line is as old:
// if slots went whenever a line is short, all would, and stand empty on the way. So this replica's
// line is compared with the fleet's, for the slots that each has, as the ledger saw both in one
// turn; what is too much goes by halves, and not again before that shows. A slot goes from the end
// of a turn: until then whoever is in line has the use of it.
//
// Invariant: slots and yields are 0 where the ledger is near, and while what it counts is not known.
type surplus struct {
	exchange *exchange
	float    *float
	loads    *loads
	took     *durations
	handover *handover
	passing  func() int // how many wait here that pass

	slots  int64            // of those that become free, so many go
	yields map[string]int64 // so many for requests that pass elsewhere, by endpoint; empty for any
	went   time.Time        // when one last did
}

const (
	// surplusLeast is how many slots a replica must have too many for any to go: slots are whole,
	// and of three that have two or three each, where 2.67 are due, none should pass one on.
	surplusLeast = 0.75
	// surplusPart is which part of the slots that are too many goes at once.
	surplusPart = 0.5
	// surplusLate is from which part of a turn on they go: those that become free before would wait for
	// the next to be stated.
	surplusLate = 0.75
)

func newSurplus(c *Core) surplus {
	return surplus{
		exchange: &c.exchange, float: &c.float, loads: &c.loads, took: &c.durations, handover: &c.handover, passing: c.passing.waiting,
		yields: make(map[string]int64),
	}
}

// goes reports whether what is free of this replica's slots is to go elsewhere.
func (s *surplus) goes(now time.Time) bool {
	n := s.yielded(now, "", int64(s.float.requests.inFlight))
	if s.late(now) {
		n = max(n, s.slots)
	}
	return n > 0 && s.float.room(now) <= n
}

// late reports whether what becomes free now goes with the next statement soon.
func (s *surplus) late(now time.Time) bool {
	e := s.exchange
	return !e.underWay || float64(now.Sub(e.last)) >= surplusLate*float64(e.pace)
}

// yielded is how many of the slots at an endpoint, or anywhere, that become free now are given up for
// requests that pass elsewhere. Where requests are so few there that as many hardly end late in a turn,
// the next that end are.
func (s *surplus) yielded(now time.Time, endpoint string, inFlight int64) int64 {
	n := s.yields[endpoint]
	if n == 0 || s.late(now) {
		return n
	}
	if ending := float64(inFlight) * (1 - surplusLate) * float64(s.exchange.pace); ending >= float64(n)*float64(s.took.typical) {
		return 0
	}
	return n
}

// ask has slots given up for requests that pass elsewhere.
func (s *surplus) ask(yields []store.Yield) {
	for _, y := range yields {
		s.yields[y.Endpoint] = max(s.yields[y.Endpoint], y.Slots)
	}
}

// keep gives none up.
func (s *surplus) keep() {
	s.slots = 0
	clear(s.yields)
}

// stated notes that what is free goes with the statement that begins.
func (s *surplus) stated(now time.Time) {
	if free := s.float.room(now); free > 0 && s.slots+s.yields[""] > 0 {
		s.slots, s.yields[""], s.went = max(0, s.slots-free), max(0, s.yields[""]-free), now
	}
	for endpoint, free := range s.loads.returned {
		if s.yields[endpoint] > 0 {
			s.yields[endpoint] = max(0, s.yields[endpoint]-free)
		}
	}
}

// compare works out how many are too many, where that is not known yet. The line that lasts for
// longer, since its replica is further from the ledger, is due as many more. Slots that requests
// have which pass, or that these wait for here, are no part of it.
func (s *surplus) compare(now time.Time, pace time.Duration, st *store.Statement, r *store.Reply) {
	passes := func(priority int) bool { return r.MayPass && priority > r.PassAbove }
	inFlight := r.InFlight
	for i := range r.Bands {
		if passes(r.Bands[i].Priority) {
			inFlight -= r.Bands[i].InFlight
		}
	}
	if r.Applied != st.Number || r.InLine == 0 || inFlight <= 0 || now.Sub(s.went) < pace {
		return
	}
	lined, held := st.InLine, int64(0)
	for i := range st.Bands {
		if !passes(st.Bands[i].Priority) {
			held += st.Bands[i].InFlight
		}
	}
	for i := range r.Messages { // as the ledger counted when it replied
		switch m := &r.Messages[i]; {
		case m.Kind&store.Lined != 0:
			lined++
		case passes(m.Priority):
		case m.Kind&store.Granted != 0:
			held++
			if m.Ticket.Ingress == "" { // for the first in line
				lined = max(0, lined-1)
			}
		}
	}
	due := float64(r.InLine) / float64(inFlight) * float64(pace) / float64(s.handover.meanPace())
	if over := float64(held) - float64(s.passing()) - float64(lined)/due; over > surplusLeast {
		s.slots = max(1, int64(over*surplusPart))
	}
}
