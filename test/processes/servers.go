package processes

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
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

	clients clients

	mu      sync.Mutex
	watched bool
	ran     []Ran
}

// Entry is the entry of one of the servers, under that name, in a file of endpoints.
func (s *Servers) Entry(at int, name string) string {
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URLs[at], "http://"), ":")
	return fmt.Sprintf("- {name: %s, address: %s, port: %s}\n", name, host, port)
}

// Put replaces a file at once, as replicas may read it at any time.
func Put(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		tb.Fatal(err)
	}
}

// Ran is a request that a model server ran, or runs as long as it has not ended.
type Ran struct {
	Tenant       string // as the load named it
	Began, Ended time.Time
}

// TenantHeader tells a model server whose a request is, which Watch keeps it by: no replica reads it.
const TenantHeader = "x-test-tenant"

// Watch begins to keep every request.
func (s *Servers) Watch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = true
}

// Ran returns the requests that came since Watch, in order of their coming.
func (s *Servers) Ran() []Ran {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ran)
}

// Over is the longest time for which more than so many of the requests since Watch ran at once. A
// request that a replica ends runs on until its server has read so, which nobody hears of, and
// the one in its slot may be there before: for a moment, see clients.
func (s *Servers) Over(limit int) (longest time.Duration) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, r := range s.Ran() {
		changes = append(changes, change{r.Began, 1})
		if !r.Ended.IsZero() {
			changes = append(changes, change{r.Ended, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	running, since := 0, time.Time{}
	for _, c := range changes {
		if before := running; before <= limit && before+c.by > limit {
			since = c.at
		} else if before > limit && before+c.by <= limit {
			longest = max(longest, c.at.Sub(since))
		}
		running += c.by
	}
	if running > limit {
		longest = max(longest, time.Since(since))
	}
	return longest
}

// Begun is how many requests came since Watch.
func (s *Servers) Begun() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ran)
}

// watching keeps requests while they are watched.
func (s *Servers) watching(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant := r.Header.Get(TenantHeader)
		s.mu.Lock()
		n, kept := len(s.ran), s.watched && tenant != ""
		if kept {
			s.ran = append(s.ran, Ran{Tenant: tenant, Began: time.Now()})
		}
		s.mu.Unlock()
		h.ServeHTTP(w, r)
		if kept {
			s.mu.Lock()
			s.ran[n].Ended = time.Now()
			s.mu.Unlock()
		}
	})
}

// Raise lifts a peak to a number that is higher.
func Raise(peak *atomic.Int64, to int64) {
	for p := peak.Load(); to > p && !peak.CompareAndSwap(p, to); p = peak.Load() {
	}
}

func newServers() *Servers {
	return &Servers{clients: clients{here: map[string]bool{}, gone: map[string]bool{}}}
}

// StartServers starts n servers on loopback, each of which runs so many requests at once.
func StartServers(t *testing.T, n, running int) *Servers {
	t.Helper()
	return StartServersAt(t, "127.0.0.1", n, running)
}

// StartServersAt starts them at an address of this machine.
func StartServersAt(t *testing.T, host string, n, running int) *Servers {
	t.Helper()
	s := newServers()
	cfg := modelserver.DefaultConfig()
	cfg.MaxRunning, cfg.Step, cfg.StepPerSequence, cfg.PrefillPerToken = running, 5*time.Millisecond, 0, 0
	for range n {
		m, err := modelserver.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(s.counting(s.watching(m)))
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
		s.URLs = append(s.URLs, server.URL)
	}
	return s
}
