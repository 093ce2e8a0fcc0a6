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
		time.Sleep(noticing + 1)
		synctest.Wait()
		want("both run on", 3, 3)
		close(end)
		synctest.Wait()
		want("all have ended", 0, 3)
	})
}
