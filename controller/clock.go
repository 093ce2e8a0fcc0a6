package controller

import "time"

// clock is the time that a core goes by. Intervals are measured by the steady clock, which
// nobody sets; but on some systems, Linux among them, it stands still while the machine is
// suspended, and leases end meanwhile. So where the clock on the wall has gone on by more
// than the steady one, the time leaps: by a lease at the most, which is enough for whatever
// was given for a while to be over, and does little harm if the clock was only set. It is
// not safe for concurrent use.
type clock struct {
	// read returns the time by the steady clock, and by the one on the wall.
	read func() (steady, wall time.Time)
	most time.Duration // of a leap

	steady, wall time.Time // when it was last read
	leapt        time.Duration
}

// suspended is by how much the clock on the wall must have gone on more than the steady one
// for the machine to have been suspended meanwhile. A clock that is corrected gently gains
// less between two readings, which are a second apart or so; a shorter suspension is within
// what leases and recoveries are longer than what is given for less.
const suspended = 50 * time.Millisecond

// readClock reads both clocks of this machine.
func readClock() (steady, wall time.Time) {
	now := time.Now()
	return now, now.Round(0)
}

// now returns the time.
func (c *clock) now() time.Time {
	steady, wall := c.read()
	if !c.wall.IsZero() {
		if behind := wall.Sub(c.wall) - steady.Sub(c.steady); behind > suspended {
			c.leapt += min(behind, c.most)
		}
	}
	c.steady, c.wall = steady, wall
	return steady.Add(c.leapt)
}
