package core

import "time"

// Ready hands out what there is to do.
func (c *Core) Ready(now time.Time) Ready {
	c.queues.set.Refill()
	if c.exchange.outage {
		c.ownShare.dispatch(now)
	}
	var ready Ready
	if c.exchange.free(now) && c.handover.fleet.known {
		c.forgetUnchanged()
		if c.turnDue(now) {
			ready.Turn = c.exchange.begin(now)
		}
	}
	ready.Messages = c.handover.speak(now) // after the turn began, which may offer a traced ticket
	ready.Decisions = c.requests.take()
	ready.Revoked = c.revocations.take()
	ready.Loads = c.loads.take()
	ready.Moves = c.handover.takeMoves(now)
	ready.FailedPicks = c.queues.set.TakeFailures()
	ready.Left = c.exchange.left
	ready.Retired = c.handover.retired()
	return ready
}

// forgetUnchanged forgets tickets that came or went where the offers are as they were.
func (c *Core) forgetUnchanged() {
	if !c.queues.set.Changed() {
		c.exchange.agenda.touched = false
	}
}

// turnDue reports whether to take a turn now that one can be taken. What only tops up the
// offers waits for something else to say, as long as enough of them stand.
func (c *Core) turnDue(now time.Time) bool {
	e := &c.exchange
	switch since := now.Sub(e.last); {
	case e.agenda.due || c.queues.set.Thin():
		return true
	case e.agenda.touched:
		return !c.bands.full() || since >= c.cfg.Timings.FullPause
	case c.float.low(now) || e.agenda.soon && since >= c.cfg.Timings.LineTurn:
		return true
	default:
		return since >= c.turnInterval()
	}
}

// turnInterval is the longest time between two turns.
func (c *Core) turnInterval() time.Duration {
	t := &c.cfg.Timings
	if c.exchange.agenda.touched && c.bands.full() {
		return min(t.FullPause, t.WaitingTurn)
	}
	if c.exchange.agenda.soon {
		return t.LineTurn
	}
	if c.requests.waiting > 0 || c.queues.set.Len() > 0 {
		return t.WaitingTurn
	}
	if c.exchange.agenda.later {
		if !c.float.fits() {
			return 0 // others choose endpoints by what they know of these loads
		}
		return min(t.CalmTurn, c.float.interval())
	}
	return c.float.interval()
}

// Next is when Tick must be called at the latest, once all that Ready said was carried out.
func (c *Core) Next(now time.Time) time.Time {
	next := now.Add(time.Hour)
	if e := &c.exchange; !e.underWay && !e.left && c.handover.fleet.known {
		next = e.last.Add(c.turnInterval())
		if e.retry.After(next) || e.failures > 0 {
			next = e.retry
		}
	}
	return c.handover.next(c.holding.next(c.line.next(c.requests.deadlines.next(next))))
}
