package processes

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// A request that is hung up on does not count while its server may not have read so, and
// counts again if it runs on.
func TestHungUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServers()
		end := make(chan struct{})
		h := s.counting(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
		ask := func(name string) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set(RequestHeader, name)
			go h.ServeHTTP(httptest.NewRecorder(), r)
			synctest.Wait()
		}
		want := func(when string, inFlight, peak int64) {
			t.Helper()
			if s.InFlight.Load() != inFlight || s.Peak.Load() != peak {
				t.Errorf("%s: %d in flight and %d at most, want %d and %d", when, s.InFlight.Load(), s.Peak.Load(), inFlight, peak)
			}
		}
		ask("a")
		s.HungUp("a")
		want("hung up", 0, 1)
		ask("b")
		want("its slot was given to another", 1, 1)
		s.HungUp("c")
		ask("c")
		want("one came whose client had gone", 1, 1)
		time.Sleep(Noticing + 1)
		synctest.Wait()
		want("both run on", 3, 3)
		close(end)
		synctest.Wait()
		want("all have ended", 0, 3)
	})
}

// Over is the longest that too many ran, also of those that still do.
func TestOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServers(), time.Now()
		ran := func(from, to time.Duration) {
			r := Ran{Began: start.Add(from)}
			if to > 0 {
				r.Ended = start.Add(to)
			}
			s.ran = append(s.ran, r)
		}
		ran(0, 10*time.Second)
		ran(2*time.Second, 4*time.Second)
		ran(4*time.Second, 7*time.Second)
		ran(9*time.Second, 0)
		time.Sleep(20 * time.Second)
		for limit, want := range []time.Duration{20 * time.Second, 3 * time.Second, 0} {
			if over := s.Over(limit); over != want {
				t.Errorf("more than %d ran for %v, want %v", limit, over, want)
			}
		}
	})
}
