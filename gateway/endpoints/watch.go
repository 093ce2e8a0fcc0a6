package endpoints

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Watch says what is done over and over to know how full the endpoints are.
type Watch struct {
	// Observe is how often Changed is called, if that is above 0. Where metrics are read, such
	// a call waits for a new reading of every endpoint.
	Observe time.Duration
	// Scrape has the endpoints' own metrics be read.
	Scrape bool
}

// watching is what is done by a Watch.
type watching struct {
	Watch
	scraper *scraper // nil if no metrics are read
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// end ends it, and waits.
func (w *watching) end() {
	if w.cancel != nil {
		w.cancel()
	}
	w.running.Wait()
}

// Watch replaces what is done from now on, and waits for what was to end. What was read is
// forgotten once nothing is read any more: nobody would know how old it is. After Close it does
// nothing.
func (p *Pool) Watch(by Watch) {
	p.rewatch.Lock()
	defer p.rewatch.Unlock()
	was := p.watching.Load()
	if was.Watch == by || p.ctx.Err() != nil {
		return
	}
	next := &watching{Watch: by}
	ctx, cancel := context.WithCancel(p.ctx)
	next.cancel = cancel
	if next.Scrape {
		next.scraper = newScraper(ctx, p, &next.running)
	}
	was.end()
	p.watching.Store(next)
	if was.Scrape && !by.Scrape {
		for _, e := range p.Endpoints() {
			e.unread()
		}
	}
	if next.scraper != nil {
		next.running.Go(next.scraper.run)
	}
	if next.Observe > 0 {
		next.running.Go(func() { p.observe(ctx, next) })
	}
}

// patience is how many intervals of Observe are waited for missing readings.
const patience = 4

// restObserve is how often Changed is called while nothing goes on.
const restObserve = 250 * time.Millisecond

// resting reports whether nothing goes on at any endpoint and nobody waits, as far as is known
// here.
func (p *Pool) resting() bool {
	return !p.cfg.Waiting() && !slices.ContainsFunc(p.Endpoints(), func(e *Endpoint) bool { return !e.resting() })
}

// observe calls Changed regularly, and less often at rest. It waits for a new reading of each
// endpoint: the effect of a limit that was raised must be seen before it is raised again.
func (p *Pool) observe(ctx context.Context, by *watching) {
	timer := time.NewTimer(by.Observe)
	defer timer.Stop()
	last, rested := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.stirred:
			if rested {
				rested = false
				timer.Reset(by.Observe)
			}
		case now := <-timer.C:
			if by.scraper == nil || p.readSince(last) || now.Sub(last) >= patience*by.Observe {
				p.Notify()
				last = now
			}
			pause := by.Observe
			if rested = p.resting(); rested {
				pause = max(pause, restObserve)
			}
			timer.Reset(pause)
		}
	}
}

// readSince reports whether every endpoint that can be used was read since then.
func (p *Pool) readSince(then time.Time) bool {
	for _, e := range p.Endpoints() {
		if e.usable() && !e.Metrics().ReadAt.After(then) {
			return false
		}
	}
	return true
}
