package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// server is a model server that notes the sizes of requests in the order they come, and
// answers the first once it is let go.
type server struct {
	*httptest.Server
	letGo chan struct{}
	mu    sync.Mutex
	sizes []int
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := &server{letGo: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.sizes = append(s.sizes, len(body))
		first := len(s.sizes) == 1
		s.mu.Unlock()
		if first {
			<-s.letGo
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}`)
	}))
	t.Cleanup(s.Close)
	return s
}

// seen returns the sizes of the requests that came.
func (s *server) seen() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sizes)
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestMain(m *testing.M) { os.Exit(processes.Alone(m.Run)) }

// fleet is two replicas of this program on one Redis, over a model server of one slot.
type fleet struct {
	*testing.T
	replicas []*processes.Replica
	model    *server
	clients  sync.WaitGroup
	asked    int
}

// startFleet builds the program and runs it.
func startFleet(t *testing.T) *fleet {
	t.Helper()
	redis := redistest.Start(t)
	binary := filepath.Join(t.TempDir(), "weir-with-plugins")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f := &fleet{T: t, model: startServer(t)}
	upstreams := &processes.Servers{URLs: []string{f.model.URL}}
	args := []string{"--config", "weir.yaml", "--redis", redis.URL(), "--gossip", "127.0.0.1:0"}
	one := processes.StartBy(t, exec.Command(binary), "127.0.0.1", "one", upstreams, args...)
	two := processes.StartBy(t, exec.Command(binary), "127.0.0.1", "two", upstreams, append(args, "--join", one.Gossip)...)
	f.replicas = []*processes.Replica{one, two}
	for _, r := range f.replicas {
		eventually(t, "the replicas reach each other", func() bool {
			seen, err := processes.Get[api.Replicas](r, "/v1/replicas?scope=replica")
			return err == nil && len(seen.Replicas) == 2 && !slices.ContainsFunc(seen.Replicas, func(p api.Replica) bool { return !p.Reachable })
		})
	}
	return f
}

// ask sends a tenant's request that is longer by so much, to the replicas by turns.
func (f *fleet) ask(tenant string, padding int) {
	r := f.replicas[f.asked%2]
	f.asked++
	f.clients.Go(func() {
		body := `{"model": "m", "messages": [{"role": "user", "content": "` + strings.Repeat("x", padding) + `"}]}`
		req, err := http.NewRequest(http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			f.Error(err)
			return
		}
		req.Header.Set("x-llm-d-inference-fairness-id", tenant)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			f.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			f.Errorf("%d bytes at %s: %s", padding, r.ID, res.Status)
		}
	})
}

// occupy has a tenant's request take the slot, for as long as others come to wait.
func (f *fleet) occupy(tenant string) {
	f.ask(tenant, 5000)
	eventually(f.T, "the first request has the slot", func() bool { return len(f.model.seen()) == 1 })
}

// serve ends that request, once so many wait, and returns the sizes of these in the order in
// which the model server gets them.
func (f *fleet) serve(waiting int) []int {
	f.Helper()
	eventually(f.T, "all others wait", func() bool {
		pool, err := processes.Get[api.Pool](f.replicas[0], "/v1/pool")
		return err == nil && pool.Queued == int64(waiting)
	})
	time.Sleep(200 * time.Millisecond) // the best of them stand before the ledger
	close(f.model.letGo)
	f.clients.Wait()
	return f.model.seen()[1:]
}

// TestOwnPolicyDecides has a tenant's requests of mixed sizes wait at both replicas: the
// model server gets the smallest first, which is what the program's own policy says and no
// other does.
func TestOwnPolicyDecides(t *testing.T) {
	f := startFleet(t)
	f.occupy("tenant")
	const requests = 40 // more than stand before the ledger at a time
	for n := range requests {
		f.ask("tenant", 100+(n*17)%requests*10)
	}
	if sizes := f.serve(requests); len(sizes) != requests || !slices.IsSorted(sizes) {
		t.Errorf("served in the order of sizes %v, want the smallest first", sizes)
	}
}

// TestOwnBandPolicyDecides has requests of three priorities wait at both replicas. The urgent
// ones go first, which weights alone do not say, and then the other two take turns, which a
// strict order does not.
func TestOwnBandPolicyDecides(t *testing.T) {
	f := startFleet(t)
	f.occupy("alarms")
	const each = 12
	for n := range each {
		f.ask("others", 1000+n)
		f.ask("chat", 2000+n)
		f.ask("alarms", 3000+n)
	}
	sizes := f.serve(3 * each)
	if len(sizes) != 3*each {
		t.Fatalf("%d requests were served, want %d", len(sizes), 3*each)
	}
	for _, size := range sizes[:each] {
		if size < 3000 {
			t.Fatalf("served in the order of sizes %v, want those above 3000 first", sizes)
		}
	}
	for _, next := range [][2]int{{1000, 2000}, {2000, 3000}} {
		if !slices.ContainsFunc(sizes[each:each+6], func(size int) bool { return size >= next[0] && size < next[1] }) {
			t.Errorf("served in the order of sizes %v, want one from %d among the next 6", sizes, next[0])
		}
	}
}
