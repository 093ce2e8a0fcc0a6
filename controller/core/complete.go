package core

import (
	"time"
)

// Complete releases a dispatched request and settles what it cost; one that is
// not in flight is left alone.
func (c *Core) Complete(now time.Time, seq uint64, usage Usage) {
	r := c.inFlight[c.own(seq)]
	if r == nil {
		return
	}
	delete(c.inFlight, r.ID)
	c.shed(r)
	c.count(r.Flow, -1)
	c.leave(r)
	if c.turn.outage {
		c.queues.Room(r.Flow, 1, 1, now)
	}
	c.band(now, r.Flow.Priority).inFlight--
	if usage.Known && (r.charge > 0 || c.cfg.Shard.LimitOf(r.Flow).TokensPerMinute > 0) {
		c.recharge(r, usage)
	}
	c.turn.due = true
}

// Progress settles what a dispatched request has cost so far where that is more
// than it was charged, so that a flow of long answers pays while they stream.
func (c *Core) Progress(seq uint64, usage Usage) {
	r := c.inFlight[c.own(seq)]
	if r == nil || r.charge == 0 {
		return
	}
	usage.InputTokens, usage.OutputTokens = max(usage.InputTokens, r.InputTokens), max(usage.OutputTokens, r.OutputTokens)
	c.recharge(r, usage)
}

// recharge settles the difference between what a request was charged and what it
// costs.
func (c *Core) recharge(r *request, usage Usage) {
	var tokens float64
	if c.cfg.Shard.LimitOf(r.Flow).TokensPerMinute > 0 {
		tokens = float64(usage.InputTokens + usage.OutputTokens - r.InputTokens - r.OutputTokens)
	}
	r.InputTokens, r.OutputTokens = usage.InputTokens, usage.OutputTokens
	charge := c.cfg.Shard.Charge(r.Ticket)
	delta := charge - r.charge
	if delta == 0 && tokens == 0 {
		return
	}
	switch {
	case !r.alone:
		c.settle(r.Flow, r.policy, delta, r.counter, tokens)
	case c.turn.outage:
		c.queues.ChargedAlone(r.Flow, delta)
	}
	r.charge, r.counter = charge, r.counter+delta
}
