package picker

import (
	"context"
	"iter"
	"slices"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"
)

// maxOpenings is how many streams to a picker may be on their way at a time for requests that
// wait. A picker that takes no more streams leaves them so.
const maxOpenings = 64

// Stream is one request's exchange with a picker. One goroutine may send while another
// receives.
type Stream struct {
	extproc.ExternalProcessor_ProcessClient
	from    *picker
	pickers *Pickers
	cancel  context.CancelFunc

	// What follows is guarded by the pickers' mutex.
	claim    *Claim // whose it is; nil for a spare
	answered bool
	ended    bool
}

// opening is a stream on its way. gRPC has it wait while the picker takes no more of them.
type opening struct {
	picker *picker
	claim  *Claim // nil if it is not for one any more
	began  time.Time
	cancel context.CancelFunc
	off    bool // it was cancelled
}

// ahead reports whether it is for a request that waits, or for none.
func (o *opening) ahead() bool { return o.claim == nil || o.claim.early == o }

// cancelled cancels what may be on its way, and is what is left of it.
func (o *opening) cancelled() *opening {
	if o != nil {
		o.off = true
		o.cancel()
	}
	return nil
}

// inTurn are the pickers, beginning with another one each time.
func (p *Pickers) inTurn() iter.Seq[*picker] {
	p.turn++
	return func(yield func(*picker) bool) {
		for i := range p.all {
			if !yield(p.all[(p.turn+i)%len(p.all)]) {
				return
			}
		}
	}
}

// choose chooses the picker that a request asks next; nil if there is none. One that may be out
// of use still is found out about by a request that can turn to another one; then those that let
// nobody wait come first, then those that have broken no stream of the request.
func (p *Pickers) choose(c *Claim, now time.Time) (best *picker) {
	rank := func(one *picker) int {
		n := one.used
		for _, o := range one.openings {
			if !o.ahead() {
				n++
			}
		}
		if one.standing.out && len(c.asks)+len(c.lost) == 0 {
			return -1
		}
		n *= 2
		if len(one.spares) == 0 {
			n++ // behind an equal one
		}
		for i, worse := range []bool{one.quiet(now), slices.Contains(c.lost, one), one.standing.out} {
			if worse {
				n += 1 << (32 + i)
			}
		}
		return n
	}
	for one := range p.inTurn() {
		if !one.ready() || slices.ContainsFunc(c.asks, func(a *ask) bool { return a.picker == one }) {
			continue
		}
		if one.standing.out && (!one.standing.due(now) || one.probe != nil) {
			continue
		}
		if best == nil || rank(one) < rank(best) {
			best = one
		}
	}
	return best
}

// begin begins to open a stream for a claim, and does not wait for it.
func (p *Pickers) begin(one *picker, c *Claim, now time.Time) *opening {
	if p.closed {
		return nil
	}
	ctx, cancel := context.WithCancel(p.ctx)
	o := &opening{picker: one, claim: c, began: now, cancel: cancel}
	one.openings = append(one.openings, o)
	p.runs.Go(func() {
		stream, err := extproc.NewExternalProcessorClient(one.conn).Process(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.opened(o, stream, err)
	})
	return o
}

// opened takes in how the opening of a stream has ended.
func (p *Pickers) opened(o *opening, stream extproc.ExternalProcessor_ProcessClient, err error) {
	one, c := o.picker, o.claim
	defer p.disconnect(one)
	one.openings = slices.DeleteFunc(one.openings, func(other *opening) bool { return other == o })
	at := -1
	if c != nil {
		at = slices.IndexFunc(c.asks, func(a *ask) bool { return a.opening == o })
		c.leave(o)
	}
	if o.off {
		return
	}
	if err == nil {
		one.streams++
		p.place(&Stream{ExternalProcessor_ProcessClient: stream, from: one, pickers: p, cancel: o.cancel}, at, c)
		return
	}
	o.cancel()
	if at < 0 {
		return
	}
	one.wrong(err, time.Now())
	one.failed++
	p.forget(c, at)
	if c.wants && !slices.ContainsFunc(c.asks, func(a *ask) bool { return a.opening != nil }) {
		p.unwant(c)
		c.streams <- nil
	}
}

// forget notes that a picker failed a claim, which may ask it once more if there is no other.
func (p *Pickers) forget(c *Claim, at int) {
	one := c.asks[at].picker
	if one.probe == c {
		one.probe = nil
	}
	c.asks = slices.Delete(c.asks, at, at+1)
	c.lost = append(c.lost, one)
}

// place gives a new stream to the claim that asked for it. One that was opened ahead goes to the
// claim that has waited longest, to none until one asks, as a spare.
func (p *Pickers) place(s *Stream, at int, opener *Claim) {
	now := time.Now()
	if at >= 0 {
		opener.asks[at].opening = nil
		p.hand(opener, opener.asks[at], s, now)
		return
	}
	for _, c := range p.wanting {
		i := slices.IndexFunc(c.asks, func(a *ask) bool { return a.picker == s.from })
		switch {
		case i >= 0 && c.asks[i].stream == nil:
			p.hand(c, c.asks[i], s, now)
			return
		case i < 0 && !s.from.gone && !s.from.standing.out && !s.from.quiet(now):
			a := &ask{picker: s.from, since: now}
			c.asks = append(c.asks, a)
			p.hand(c, a, s, now)
			return
		}
	}
	s.from.spares = append(s.from.spares, s)
	if s.from.standing.out || s.from.gone {
		s.from.dropSpares()
	}
	p.trim()
}

// hand gives a stream to a claim, which asks by it.
func (p *Pickers) hand(c *Claim, a *ask, s *Stream, now time.Time) {
	p.unwant(c)
	c.leave(c.early)
	s.claim, a.stream = c, s
	c.asks = slices.DeleteFunc(c.asks, func(other *ask) bool { // that were awaited, too
		other.opening = other.opening.cancelled()
		if other.stream == nil && other.picker.probe == c {
			other.picker.probe = nil
		}
		return other.stream == nil // it may be asked yet
	})
	s.from.used++
	s.from.standing.asked(now)
	s.from.asked++
	c.streams <- s
	p.trim()
}

// leave leaves what was opened ahead for the claim to whoever needs it.
func (c *Claim) leave(o *opening) {
	if o != nil && c.early == o {
		c.early, o.claim = nil, nil
	}
}

// trim ends spare streams, and those on their way, that no request waits for.
func (p *Pickers) trim() {
	total := 0
	for _, one := range p.all {
		total += len(one.spares)
		for _, o := range one.openings {
			if o.ahead() && !o.off {
				total++
			}
		}
	}
	for _, one := range p.all {
		for _, o := range one.openings {
			if total > p.expected && o.claim == nil && !o.off {
				o.cancelled()
				total--
			}
		}
	}
	for ; total > p.expected; total-- {
		most := slices.MaxFunc(p.all, func(a, b *picker) int { return len(a.spares) - len(b.spares) })
		if len(most.spares) == 0 {
			return
		}
		s := most.spares[0]
		most.spares = most.spares[1:]
		s.end()
	}
}

// dropSpares ends the spare streams.
func (p *picker) dropSpares() {
	for _, s := range p.spares {
		s.end()
	}
	p.spares = nil
}

// Picker is the address of the picker.
func (s *Stream) Picker() string { return s.from.address }

// Answered notes that the picker has answered for the request.
func (s *Stream) Answered() {
	p := s.pickers
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ended || s.answered {
		return
	}
	s.answered = true
	s.from.standing.closed()
	if s.from.standing.answered(time.Now()) {
		s.from.probe = nil
		p.log.Info("a picker answers, and is in use again", zap.String("picker", s.from.address))
	}
}

// Failed notes that the picker broke the stream before it had answered, and how. Others to it may
// be broken, too. One that breaks one after the other and answers nobody is taken out of use if
// others are left: it has the fewest requests, and would be asked first by each. It is called once
// at most.
func (s *Stream) Failed(err error) {
	p, now := s.pickers, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.from.dropSpares()
	at := slices.IndexFunc(s.claim.asks, func(a *ask) bool { return a.stream == s })
	a := s.claim.asks[at]
	if !a.failed {
		a.failed = true
		s.from.failed++
	}
	if s.from.standing.broke() && p.others(s.from) {
		p.takeOut(s.claim, a, now, errBreaks)
	}
	s.from.wrong(err, now)
	p.forget(s.claim, at)
}

// End ends the stream. Only the first call has an effect.
func (s *Stream) End() {
	s.pickers.mu.Lock()
	defer s.pickers.mu.Unlock()
	s.end()
}

func (s *Stream) end() {
	if s.ended {
		return
	}
	s.ended = true
	s.cancel()
	s.from.streams--
	defer s.pickers.disconnect(s.from)
	if s.claim == nil {
		return
	}
	s.from.used--
	if !s.answered {
		s.from.standing.closed()
	}
	if s.from.probe == s.claim {
		s.from.probe = nil
	}
}
