package processes

import (
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/modelserver"
)

// Servers are the model Servers, with one count of what is in flight at all of
// them.
type Servers struct {
	URLs           []string
	InFlight, Peak atomic.Int64
}

// Raise lifts a peak to a number that is higher.
func Raise(peak *atomic.Int64, to int64) {
	for p := peak.Load(); to > p && !peak.CompareAndSwap(p, to); p = peak.Load() {
	}
}

// StartServers starts n servers on loopback, each of which runs so many requests at once.
func StartServers(t *testing.T, n, running int) *Servers {
	t.Helper()
	return StartServersAt(t, "127.0.0.1", n, running)
}

// StartServersAt starts them at an address of this machine.
func StartServersAt(t *testing.T, host string, n, running int) *Servers {
	t.Helper()
	s := &Servers{}
	cfg := modelserver.DefaultConfig()
	cfg.MaxRunning, cfg.Step, cfg.StepPerSequence, cfg.PrefillPerToken = running, 5*time.Millisecond, 0, 0
	cfg.InFlight = func(delta int) { Raise(&s.Peak, s.InFlight.Add(int64(delta))) }
	for range n {
		m, err := modelserver.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(m)
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		s.URLs = append(s.URLs, server.URL)
	}
	return s
}
