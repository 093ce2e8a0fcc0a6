package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

// TestInterrupted ends a run early: it has a console of the fleet from the begin on, and
// the figures so far at the end.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 2 s, and a ledger that answers in time")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cfg := DefaultConfig()
	cfg.Duration = time.Minute
	var console http.Handler
	whole := false
	s, err := Run(ctx, cfg, Audience{
		Console: func(c http.Handler) { console = c },
		Show: func(s *Summary) {
			w := httptest.NewRecorder()
			console.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/pool", nil))
			var p api.Pool
			if json.Unmarshal(w.Body.Bytes(), &p) == nil && len(p.Fleet.Answered) == cfg.Replicas && p.InFlight > 0 && s.Flows[0].Requests > 0 {
				whole = true
				stop()
			}
		},
	})
	if !errors.Is(err, context.Canceled) || s == nil || s.Flows[0].Requests == 0 || !whole {
		t.Errorf("%+v, %v; the console told of the whole fleet: %v", s, err, whole)
	}
}

// TestGoesOn wants the fleet to go on after the measuring until it is ended.
func TestGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cfg := DefaultConfig()
	cfg.Duration = 2 * time.Second
	consoles, measured := 0, false
	s, err := Run(ctx, cfg, Audience{
		Show: func(*Summary) {},
		Console: func(http.Handler) {
			if consoles++; consoles == 3 { // shared, divided, and shared again
				time.AfterFunc(100*time.Millisecond, stop)
			}
		},
		Measured: func(s *Summary) { measured = s.Divided != nil },
	})
	if err != nil || s == nil || !measured || consoles != 3 {
		t.Errorf("%v, measured: %v, %d consoles", err, measured, consoles)
	}
}
