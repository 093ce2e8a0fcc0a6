package endpoints

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/policies"
)

// watched is a pool of one endpoint, of which is counted how often it says how it is.
type watched struct {
	*Pool
	waits atomic.Bool
	calls atomic.Int64
}

func newWatched(t *testing.T, by Watch) *watched {
	w := &watched{}
	w.Pool = New(Config{
		Source: Static(specs("a")), Watch: by, Waiting: w.waits.Load,
		Changed: func([]policies.EndpointAccessor) { w.calls.Add(1) },
	})
	t.Cleanup(w.Close)
	w.read(time.Now())
	return w
}

// read has the endpoint's metrics be read, which say that nothing goes on.
func (w *watched) read(at time.Time) {
	w.Endpoints()[0].take(&policies.EndpointMetrics{ReadAt: at})
}

// calledIn is how often it says how it is in a time.
func (w *watched) calledIn(d time.Duration) int64 {
	before := w.calls.Load()
	time.Sleep(d)
	synctest.Wait()
	return w.calls.Load() - before
}

// TestObserve has a pool say how its endpoints are as often as it is to, and seldom while nothing goes
// on and nobody waits: what begins then is said as soon as at any time.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 20 * time.Millisecond
		w := newWatched(t, Watch{Observe: every})
		time.Sleep(1100 * time.Millisecond) // so that none is about to come at the end of what is counted
		if n := w.calledIn(2500 * time.Millisecond); n != 10 {
			t.Errorf("%d times at rest in 2.5 s, want 10", n)
		}
		slot := w.Endpoints()[0].Claim(1)
		if n := w.calledIn(every); n != 1 {
			t.Errorf("%d times just after something began, want once", n)
		}
		if n := w.calledIn(50 * every); n != 50 {
			t.Errorf("%d times while something goes on, want 50", n)
		}
		slot.Return()
		time.Sleep(every)
		w.waits.Store(true)
		time.Sleep(restObserve + every/3)
		if n := w.calledIn(50 * every); n != 50 {
			t.Errorf("%d times while a request waits, want 50", n)
		}
		before := w.calls.Load()
		for range 200 { // requests that come one by one put nothing off
			w.Endpoints()[0].Claim(1).Return()
			time.Sleep(every / 4)
		}
		synctest.Wait()
		if n := w.calls.Load() - before; n != 50 {
			t.Errorf("%d times in 50 intervals in which requests came and went, want 50", n)
		}
	})
}

// TestObserveWaitsForReadings has a pool whose endpoints are read say how they are once each was
// read anew, and every few times as seldom where one is not.
func TestObserveWaitsForReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 20 * time.Millisecond
		w := newWatched(t, Watch{})
		w.waits.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.observe(ctx, &watching{Watch: Watch{Observe: every}, scraper: &scraper{}})
		time.Sleep(every / 3) // so that none comes at the end of what is counted
		if n := w.calledIn(40 * every); n != 10 {
			t.Errorf("%d times in 40 intervals without a reading, want 10", n)
		}
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(every / 2):
					w.read(time.Now())
				}
			}
		}()
		time.Sleep(patience * every)
		if n := w.calledIn(50 * every); n != 50 {
			t.Errorf("%d times with readings, want 50", n)
		}
		close(stop)
		w.Drain(map[string]bool{"a:80": true})
		if n := w.calledIn(50 * every); n != 50 {
			t.Errorf("%d times while the only endpoint is drained, want 50: its readings are not waited for", n)
		}
	})
}

// TestWatchAnew changes what is done over and over: what it replaces ends, the same again changes
// nothing, and what was read is forgotten once nothing is read any more.
func TestWatchAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 20 * time.Millisecond
		w := newWatched(t, Watch{Observe: every})
		w.waits.Store(true)
		time.Sleep(time.Second + every/3)
		before := w.calls.Load()
		for range 100 {
			w.Watch(Watch{Observe: every})
			time.Sleep(every / 4)
		}
		synctest.Wait()
		if n := w.calls.Load() - before; n != 25 {
			t.Errorf("%d times in 25 intervals in which the same was asked for again and again", n)
		}
		w.Watch(Watch{Observe: 2 * every})
		if n := w.calledIn(40 * every); n != 20 {
			t.Errorf("%d times in 20 intervals of the new length", n)
		}
		w.Watch(Watch{})
		if n := w.calledIn(time.Minute); n != 0 {
			t.Errorf("%d times after it ended", n)
		}
		if w.Endpoints()[0].reading.Load() == nil {
			t.Error("a reading was forgotten where none was to be read before")
		}
		w.Close()
		w.Watch(Watch{Observe: every})
		if n := w.calledIn(time.Second); n != 0 {
			t.Errorf("%d times after the pool was closed", n)
		}
	})
}

// TestReadingsAreForgotten has an endpoint's metrics be read, and no more: nobody would know how old
// the last of them are.
func TestReadingsAreForgotten(t *testing.T) {
	var off atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if off.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n")
	}))
	t.Cleanup(server.Close)
	source, err := NewStatic(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, Config{Source: source, Watch: Watch{Scrape: true}, Metrics: vllmMetrics(), Interval: time.Millisecond})
	e := p.Endpoints()[0]
	for began := time.Now(); e.reading.Load() == nil; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the endpoint is not read")
		}
	}
	off.Store(true)
	p.Watch(Watch{Scrape: true, Observe: time.Hour})
	if e.reading.Load() == nil {
		t.Error("the last reading is forgotten where others are to follow")
	}
	p.Watch(Watch{Observe: time.Hour})
	if e.reading.Load() != nil {
		t.Error("the last reading is believed after nothing is read any more")
	}
}
