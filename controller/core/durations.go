package core

import (
	"time"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/store"
)

// durations is how long requests took of late, or when any last ended: the ledger must know
// for how long those of a replica that is lost may go on.
type durations struct {
	bystander
	timings *Timings

	running list.List[*request] // in flight, oldest first
	longest [2]time.Duration    // of those that ended, in this period and in the one before
	period  time.Time           // when this one began
	typical time.Duration       // of late; 0 before any ended
}

func (d *durations) began(now time.Time, r *request) {
	r.dispatched, r.runningNode.Value = now, r
	d.running.PushBack(&r.runningNode)
}

func (d *durations) ended(now time.Time, r *request) {
	r.runningNode.Remove()
	if now.Sub(d.period) >= d.timings.LongestKept {
		d.longest, d.period = [2]time.Duration{0, d.longest[0]}, now
	}
	took := now.Sub(r.dispatched)
	d.longest[0] = max(d.longest[0], took)
	if d.typical == 0 {
		d.typical = took
	}
	d.typical += (took - d.typical) / 16
}

// shortBeside reports whether requests are short beside turns that take so long, given whether
// they were: they are once a turn takes a quarter of their time, and no longer when it takes an
// eighth.
func (d *durations) shortBeside(turn time.Duration, before bool) bool {
	part := d.typical / 4
	if before {
		part /= 2
	}
	return d.typical > 0 && turn >= part
}

// The durations are a participant.

// state says how long the longest took. As long as none has ended that is not known: those
// in flight may have just begun.
func (d *durations) state(now time.Time, s *store.Statement) {
	if s.Longest = max(d.longest[0], d.longest[1]); s.Longest == 0 {
		return
	}
	if oldest, any := d.running.Front(); any {
		s.Longest = max(s.Longest, now.Sub(oldest.dispatched))
	}
}
