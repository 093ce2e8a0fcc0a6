package picker

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
)

// What is wrong with a picker that does not answer.
var (
	errSlow     = errors.New("it did not answer in a request's time")
	errSilent   = errors.New("it answers nobody")
	errNoStream = errors.New("it has no stream left, and answers nobody")
	errBreaks   = errors.New("it breaks streams, and answers nobody")
)

// Claim is what one request needs of pickers: to be answered by one. It is for one goroutine.
type Claim struct {
	pickers *Pickers
	streams chan *Stream

	// What follows is guarded by the pickers' mutex.
	expects bool // has not asked yet
	wants   bool // has asked, and has no stream yet
	asks    []*ask
	lost    []*picker // that broke a stream of it
	early   *opening  // beside its wait; nil once that is over
}

// ask is a picker that was chosen to be asked.
type ask struct {
	picker  *picker
	since   time.Time
	opening *opening // of a stream; nil if there was a spare, and once it is over
	stream  *Stream  // nil until there is one
	failed  bool     // it was counted
	judged  bool     // the picker was taken out of use for it
}

// Reserve has a stream be opened for a request that may need one soon, and does not wait for it.
// The claim must be ended.
func (p *Pickers) Reserve() *Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected++
	c := &Claim{pickers: p, streams: make(chan *Stream, 1), expects: true}
	var best *picker
	now := time.Now()
	load := func(one *picker) int { return one.streams + len(one.openings) }
	for one := range p.inTurn() {
		if one.ready() && !one.standing.out && !one.quiet(now) && (best == nil || load(one) < load(best)) {
			best = one
		}
	}
	if best != nil {
		c.early = p.begin(best, c, now)
	}
	return c
}

// Streams gives a stream for each Ask, or nil if none of those chosen since the last has one to
// give. What comes from it is the receiver's to end.
func (c *Claim) Streams() <-chan *Stream { return c.streams }

// Ask chooses one more picker to ask, which the request has not asked, and has a stream to it
// come by Streams; if one is awaited already, it comes from whichever has one first. The error is
// ErrNone if there is none to choose and none is awaited.
func (c *Claim) Ask() error {
	p, now := c.pickers, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.expects {
		c.expects = false
		p.expected--
		defer p.trim()
	}
	if len(c.streams) > 0 {
		return nil // one is there
	}
	one := p.choose(c, now)
	switch {
	case one == nil && c.wants:
		return nil
	case one == nil:
		return ErrNone
	case one.standing.out:
		one.probe = c
	}
	a := &ask{picker: one, since: now}
	c.asks = append(c.asks, a)
	if len(one.spares) > 0 {
		s := one.spares[0]
		one.spares = one.spares[1:]
		p.hand(c, a, s, now)
		return nil
	}
	if !c.wants {
		c.wants = true
		p.wanting = append(p.wanting, c)
	}
	if c.early != nil && c.early.picker == one {
		a.opening, c.early = c.early, nil // it is awaited now
	} else {
		a.opening = p.begin(one, c, now)
	}
	return nil
}

// Impatient reports whether another picker should be asked soon if nothing comes: there is no
// stream yet, or it is to a picker that was out of use.
func (c *Claim) Impatient() bool {
	p := c.pickers
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(c.asks, func(a *ask) bool { return a.stream != nil && a.picker.probe != c })
}

// Late says that nothing has come for as long as that. It reports whether another picker should be
// asked: one that the request asked has answered nobody for so long, or it has no stream yet.
// Pickers that answered nobody are taken out of use if others are left.
func (c *Claim) Late(by time.Duration) (turn bool) {
	p, now := c.pickers, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	turn = !slices.ContainsFunc(c.asks, func(a *ask) bool { return a.stream != nil })
	for _, a := range c.asks {
		if then := now.Add(-by); a.open() && !a.since.After(then) && a.picker.standing.silent(then) {
			turn = true
			if p.others(a.picker) {
				p.takeOut(c, a, now, a.silence())
			}
		}
	}
	return turn
}

// GiveUp says that the request's time is over. Pickers that answered nobody meanwhile are taken
// out of use.
func (c *Claim) GiveUp() {
	p, now := c.pickers, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range c.asks {
		if !a.open() {
			continue
		}
		if !a.failed {
			a.failed = true
			a.picker.failed++
			a.picker.wrong(errSlow, now)
		}
		if a.picker.standing.silent(a.since) {
			p.takeOut(c, a, now, a.silence())
		}
	}
}

// silence says how a picker answers nobody.
func (a *ask) silence() error {
	if a.stream == nil {
		return errNoStream
	}
	return errSilent
}

// others reports whether others than the picker can be used.
func (p *Pickers) others(than *picker) bool {
	return slices.ContainsFunc(p.all, func(one *picker) bool { return one != than && one.ready() && !one.standing.out })
}

// open reports whether an answer, or a stream, is still awaited.
func (a *ask) open() bool {
	return a.opening != nil || a.stream != nil && !a.stream.ended && !a.stream.answered
}

// takeOut takes a picker out of use that answers nobody, and logs why. One that is out already is
// taken out for longer only by the request that was to find out whether it answers again.
func (p *Pickers) takeOut(c *Claim, a *ask, now time.Time, why error) {
	one := a.picker
	if one.gone || one.standing.out && (one.probe != c || a.judged) {
		return
	}
	a.judged = true
	pause := one.standing.takeOut(now)
	one.ejected++
	one.wrong(why, now)
	if !a.failed {
		a.failed = true
		one.failed++
	}
	p.log.Warn("a picker is taken out of use", zap.String("picker", one.address), zap.String("why", why.Error()),
		zap.Duration("after", now.Sub(a.since)), zap.Duration("pause", pause))
	one.dropSpares()
}

// End ends the claim: nothing is opened for it any more. The streams that it gave go on.
func (c *Claim) End() {
	p := c.pickers
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.expects {
		c.expects = false
		p.expected--
	}
	p.unwant(c)
	c.leave(c.early)
	select {
	case s := <-c.streams:
		if s != nil {
			s.end()
		}
	default:
	}
	for _, a := range c.asks {
		a.opening = a.opening.cancelled()
		if a.picker.probe == c && (a.stream == nil || a.stream.ended) {
			a.picker.probe = nil
		}
	}
	p.trim()
}

func (p *Pickers) unwant(c *Claim) {
	if c.wants {
		c.wants = false
		p.wanting = slices.DeleteFunc(p.wanting, func(one *Claim) bool { return one == c })
	}
}
