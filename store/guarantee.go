package store

import (
	"math"
	"time"
)

// MostOwed is for how long a class that waits is owed its guarantee at most, in seconds:
// what it did not get before that is forgiven.
const MostOwed = 60

// BelowAfter is for how long a class must have been owed all of its guarantee, in
// seconds, for it to be called below: requests that run already may take a while to end.
const BelowAfter = 10

// HeardWithin is how lately a replica must have taken a turn, beside what its turns take, for what it
// offers to count as waiting for the ledger, where time is accounted for: one whose turns are answered
// takes them more often while anything waits at it, and one whose turns fail goes on by itself after so
// long, or does nothing.
const HeardWithin = 500 * time.Millisecond

// Guarantee is the account of what a class is guaranteed of the pool: a priority, or a group of
// flows over all priorities. A ledger keeps one for each, and a replica in an outage;
// docs/shares.md derives what follows from it. It has no clock: it is told what time passed.
type Guarantee struct {
	// Slots is how many of the pool's slots it has on average at least while it waits; a
	// fraction of one is one for that part of the time. 0 is no guarantee.
	Slots float64
	// Owed is what it should have got and did not, in slot-seconds, or, below zero, what it
	// got for the guarantee beyond it: a request is longer than what it was owed.
	Owed float64
	// Spare is set while slots that it has beyond the guarantee were given to it in the
	// usual order: what nobody else wanted is not held against it.
	Spare bool
	// Got is all slot-seconds it ever had, and Below the seconds for which it waited and was
	// owed more than BelowAfter.
	Got, Below float64
}

// whole is how many slots it may have at any time.
func (g *Guarantee) whole() float64 { return math.Floor(g.Slots) }

// Room is how many more requests are due to it now where it has that many in flight: up to
// the whole slots of its guarantee, and one more for the rest of it, or for what it is owed.
func (g *Guarantee) Room(inFlight int64) int64 {
	most := int64(g.whole())
	if g.Slots > 0 && (g.Owed > 0 || g.Owed == 0 && g.Slots > g.whole()) {
		most++
	}
	return max(0, most-inFlight)
}

// Kept is how many of its requests in flight the guarantee needs.
func (g *Guarantee) Kept() int64 { return int64(math.Ceil(g.Slots)) }

// Granted takes in that another request goes where that many are in flight; due says
// whether it goes for the guarantee or in the usual order.
func (g *Guarantee) Granted(inFlight int64, due bool) {
	if due {
		g.Spare = false
	} else if float64(inFlight) >= g.whole() {
		g.Spare = true
	}
}

// Before reports whether its next request goes before that of another class, where
// both are due: those short of whole slots first, of them the one that has the least part of
// its guarantee; and else the one that has been owed for longest.
func (g *Guarantee) Before(inFlight int64, other *Guarantee, othersInFlight int64) bool {
	has, others := float64(inFlight), float64(othersInFlight)
	short, otherShort := has < g.whole(), others < other.whole()
	switch {
	case short != otherShort:
		return short
	case short:
		return has*other.Slots < others*g.Slots
	default:
		return g.Owed*other.Slots > other.Owed*g.Slots
	}
}

// Had takes in that time passed with so many requests in flight of which it is not known whether more
// could have gone: nothing is owed for it.
func (g *Guarantee) Had(d time.Duration, inFlight int64) {
	g.Got += float64(inFlight) * (float64(d.Microseconds()) / 1e6)
}

// Pass takes in that time passed with so many requests in flight and, if waits is set, with
// more that could have gone; wanted says whether anything waits in the pool, of
// whichever class, for a slot or for a limit of its own.
//
// While it waits it is owed what it lacks. While it does not, it earns nothing, and what it
// was owed goes as fast as it came. What it has beyond the guarantee pays what it was owed;
// it becomes a debt only where it was given for the guarantee, and only while slots are wanted: at
// other times requests follow each other by float, of which a ledger sees that as many are in flight.
func (g *Guarantee) Pass(d time.Duration, inFlight int64, waits, wanted bool) {
	g.Had(d, inFlight)
	seconds := float64(d.Microseconds()) / 1e6
	change := (g.Slots - min(float64(inFlight), g.whole()+1)) * seconds
	switch {
	case change > 0 && !waits && g.Owed > 0:
		g.Owed = max(0, g.Owed-g.Slots*seconds)
	case change > 0 && !waits:
		g.Owed = min(0, g.Owed+change)
	case change < 0 && (g.Spare || !wanted):
		g.Owed = max(g.Owed+change, min(g.Owed, 0))
	default:
		g.Owed = min(g.Owed+change, g.Slots*MostOwed)
	}
	if waits && g.Owed > g.Slots*BelowAfter {
		g.Below += seconds
	}
}
