package store

import (
	"math"
	"slices"
	"time"
)

// LeastForesight and MostForesight bound for how long a request that goes now is taken to hold
// its slot, when bands that share by their weights are compared: as long as the longest of
// late did.
const (
	LeastForesight = 100 * time.Millisecond
	MostForesight  = time.Minute
)

// Foresight is for how long a request that goes now is taken to hold its slot, where the
// longest of late took so long.
func Foresight(longest time.Duration) time.Duration {
	return max(LeastForesight, min(longest, MostForesight))
}

// Weighed is the account of a band that shares the pool with others by weights. A ledger keeps
// one for each band, and a replica in an outage; docs/shares.md derives what follows from it.
// It has no clock: it is told what time passed.
type Weighed struct {
	// Weight is what the band gets, beside those of others. One of weight 0 shares nothing:
	// it goes before all lower bands, and after all higher ones.
	Weight float64
	// Ahead is how many slot-seconds, for its weight, the band has had more than the one
	// furthest behind of those that wait and may go. It is at least 0: idling saves nothing up.
	Ahead float64
}

// Weighing is a band among all, the highest first, when they are weighed against each other.
type Weighing struct {
	*Weighed
	InFlight int64
	// Waits is set if something of the band waits. Fits is set, where a slot is given out, if the
	// pool has room for it under the band's own limit; and, where time passes, if it may have a
	// slot that ends: by that limit, and by the endpoints that it reaches.
	Waits, Fits bool
	// Away is set, where time passes, if something waits, but at replicas alone that are not heard of.
	Away bool
}

// Reweigh takes over a weight. What the band is ahead by stays what it is in slot-seconds.
func (w *Weighed) Reweigh(weight float64) {
	if w.Weight > 0 && weight > 0 {
		w.Ahead *= w.Weight / weight
	} else {
		w.Ahead = 0
	}
	w.Weight = weight
}

// place is what the band will be ahead by when what it has in flight has ended.
func (w *Weighing) place(foresight time.Duration) float64 {
	return w.Ahead + float64(w.InFlight)*foresight.Seconds()/w.Weight
}

// NextByWeight returns which band goes next: the highest that waits, or, where that shares with
// those below it, down to the first that does not share, the one that fits and is least ahead.
// It is -1 if none waits.
func NextByWeight(bands []Weighing, foresight time.Duration) int {
	highest := slices.IndexFunc(bands, func(b Weighing) bool { return b.Waits })
	if highest < 0 || bands[highest].Weight == 0 {
		return highest
	}
	next := -1
	for i := highest; i < len(bands) && bands[i].Weight > 0; i++ {
		b := &bands[i]
		if b.Waits && b.Fits && (next < 0 || b.place(foresight) < bands[next].place(foresight)) {
			next = i
		}
	}
	if next < 0 {
		return highest
	}
	return next
}

// GrantDue takes in that the band at that place is given a slot by a guarantee, before it counts
// as in flight. It is then no further ahead than if it had been its turn: what it has by its
// guarantee is held against it for no longer than a slot that it was given in that order.
func GrantDue(bands []Weighing, at int, foresight time.Duration) {
	granted := &bands[at]
	if granted.Weight <= 0 {
		return
	}
	first, last := at, at
	for first > 0 && bands[first-1].Weight > 0 {
		first--
	}
	for last < len(bands)-1 && bands[last+1].Weight > 0 {
		last++
	}
	held := granted.place(foresight) - granted.Ahead
	for i := first; i <= last; i++ {
		if b := &bands[i]; i != at && b.Waits && b.Fits {
			granted.Ahead = max(0, min(granted.Ahead, b.place(foresight)-held))
		}
	}
}

// PassWeighed takes in that time passed: each band that shares is ahead by the more that it had
// in flight. Those that do not wait, or that their own limits or endpoints keep from going, save
// nothing up, and what nobody else could have had is held against none. Where all that wait are away,
// what happened is not known, and the accounts stay as they are.
func PassWeighed(bands []Weighing, d time.Duration) {
	for len(bands) > 0 {
		n := 0
		for n < len(bands) && bands[n].Weight > 0 {
			n++
		}
		passRun(bands[:n], float64(d.Microseconds())/1e6)
		bands = bands[min(n+1, len(bands)):]
	}
}

// passRun is the same for bands that share with each other.
func passRun(bands []Weighing, seconds float64) {
	waits := slices.ContainsFunc(bands, func(b Weighing) bool { return b.Waits && b.Fits })
	if !waits && slices.ContainsFunc(bands, func(b Weighing) bool { return b.Away && b.Fits }) {
		return
	}
	least := math.Inf(1)
	for i := range bands {
		b := &bands[i]
		b.Ahead += float64(b.InFlight) * seconds / b.Weight
		if b.Waits && b.Fits {
			least = min(least, b.Ahead)
		}
	}
	for i := range bands {
		if waits {
			bands[i].Ahead = max(0, bands[i].Ahead-least)
		} else {
			bands[i].Ahead = 0
		}
	}
}
