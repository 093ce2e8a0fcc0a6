package process

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/modelserver"
)

// Servers are simulated model servers with one count of what is in flight at all of
// them: the truth that a limit is measured by.
type Servers struct {
	URLs []string
	// InFlight is the number of requests at them now, and Peak the most there were
	// since it was last set.
	InFlight, Peak atomic.Int64
}

// StartServers starts n servers that end with the test. Each runs up to running
// requests at once, and an answer of one token takes the step.
func StartServers(tb testing.TB, n, running int, step time.Duration) *Servers {
	tb.Helper()
	s := &Servers{}
	cfg := modelserver.DefaultConfig()
	cfg.MaxRunning, cfg.Step, cfg.StepPerSequence, cfg.PrefillPerToken = running, step, 0, 0
	cfg.InFlight = func(delta int) {
		now := s.InFlight.Add(int64(delta))
		for p := s.Peak.Load(); now > p && !s.Peak.CompareAndSwap(p, now); p = s.Peak.Load() {
		}
	}
	for range n {
		m, err := modelserver.New(cfg)
		if err != nil {
			tb.Fatal(err)
		}
		server := httptest.NewServer(m)
		tb.Cleanup(server.Close)
		s.URLs = append(s.URLs, server.URL)
	}
	return s
}
