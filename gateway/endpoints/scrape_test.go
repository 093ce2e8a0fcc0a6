package endpoints

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// TestPace reads an endpoint seldom while nothing goes on there, at every interval
// otherwise, and takes a reading for good until the next is due.
func TestPace(t *testing.T) {
	const interval = 50 * time.Millisecond
	idle, busy := policies.EndpointMetrics{}, policies.EndpointMetrics{Running: 1}
	for name, c := range map[string]struct {
		reading     policies.EndpointMetrics
		own, others int64
		waits       bool
		misses      int32
		every       time.Duration
	}{
		"at rest":             {idle, 0, 0, false, 0, restEvery},
		"its own clients":     {busy, 0, 0, false, 0, interval},
		"a request of ours":   {idle, 1, 0, false, 0, interval},
		"another replica's":   {idle, 0, 1, false, 0, interval},
		"a request waits":     {idle, 0, 0, true, 0, interval},
		"it cannot be read":   {idle, 0, 0, false, 1, interval},
		"it never can be":     {idle, 0, 0, false, 100, unreadEvery},
		"and a request waits": {idle, 0, 0, true, 100, interval},
		"and one is there":    {idle, 1, 0, false, 100, interval},
		"it is full and idle": {policies.EndpointMetrics{KVCacheUsage: 1}, 0, 0, false, 0, restEvery},
	} {
		others := map[string]store.Load{"a:80": {InFlight: c.others}}
		p := newPool(t, Config{Source: Static(specs("a")), Interval: interval, Others: func() map[string]store.Load { return others }})
		e, s := p.find("a:80"), &scraper{pool: p}
		e.own.inFlight.Store(c.own)
		if c.waits {
			s.waited = 2
		}
		if !s.due(e, time.Now()) {
			t.Errorf("%s: a new endpoint is not due", name)
		}
		e.misses.Store(c.misses)
		c.reading.ReadAt = time.Now()
		e.take(&c.reading)
		e.tried.Store(p.since(c.reading.ReadAt))
		for after := time.Duration(0); after < 2*restEvery; after += interval {
			now := c.reading.ReadAt.Add(after)
			if due := s.due(e, now); due != (after >= c.every) {
				t.Fatalf("%s: due after %v: %v", name, after, due)
			}
			age, holds := now.Sub(e.Metrics().ReadAt), c.every == restEvery && after < restEvery+takeOver
			if holds && age > 0 {
				t.Fatalf("%s: after %v it counts as %v old", name, after, age)
			}
			if !holds && after > restEvery+2*takeOver && age < takeOver {
				t.Fatalf("%s: after %v without a reading it counts as %v old", name, after, age)
			}
		}
	}
}

// TestAwake reads an endpoint at once when a request goes to one that was at rest.
func TestAwake(t *testing.T) {
	var scrapes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scrapes.Add(1)
		_, _ = w.Write(vllmPage(0))
	}))
	defer server.Close()
	source, err := NewStatic(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	names := vllmMetrics()
	p := newPool(t, Config{Source: source, Interval: time.Hour, Watch: Watch{Scrape: true}, Metrics: names}) // nothing is due by itself
	e := p.Endpoints()[0]
	await := func(what string, so func() bool) {
		t.Helper()
		for began := time.Now(); !so(); time.Sleep(time.Millisecond) {
			if time.Since(began) > 60*time.Second {
				t.Fatal(what)
			}
		}
	}
	await("it is not read at first", func() bool { return !e.lastRead().IsZero() && !e.scraping.Load() })
	slot, _ := p.Take(&Query{})
	slot.Return()
	old := *e.reading.Load()
	old.ReadAt = old.ReadAt.Add(-2 * time.Hour)
	e.reading.Store(&old)
	slot, _ = p.Take(&Query{})
	defer slot.Return()
	await("it is not read when a request goes there", func() bool { return e.lastRead().After(old.ReadAt) })
	if n := scrapes.Load(); n != 2 {
		t.Errorf("it was read %d times", n)
	}
}

// TestAwakeAllTheTime has short requests go to one endpoint after the other, each of which is read
// for it at once: an endpoint where a long one is goes on to be read as often as is due.
func TestAwakeAllTheTime(t *testing.T) {
	const interval, others = 50 * time.Millisecond, 20
	urls := make([]string, 1+others)
	for i := range urls {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(vllmPage(0)) }))
		defer server.Close()
		urls[i] = server.URL
	}
	source, err := NewStatic(urls...)
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, Config{Source: source, Interval: interval, Watch: Watch{Scrape: true}, Metrics: vllmMetrics()})
	busy := p.Endpoints()[0]
	defer busy.Claim(1).Return()
	last, times := busy.lastRead(), 0
	for n, began := 0, time.Now(); times < 10; n++ {
		slot := p.Endpoints()[1+n%others].Claim(1)
		time.Sleep(interval / looks / 3)
		slot.Return()
		if at := busy.lastRead(); at.After(last) {
			last = at
			times++
		}
		if time.Since(began) > 60*time.Second { // it takes half a second
			t.Fatalf("while others are woken, it was read %d times in %v", times, time.Since(began))
		}
	}
}
