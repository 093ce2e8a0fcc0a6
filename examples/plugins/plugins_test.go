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

// TestOwnPolicyDecides builds this program, runs two replicas of it on one Redis, and has
// a tenant's requests of mixed sizes wait at both: the model server gets the smallest
// first, which is what the program's own policy says and no other does.
func TestOwnPolicyDecides(t *testing.T) {
	redis := redistest.Start(t)
	binary := filepath.Join(t.TempDir(), "weir-with-plugins")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	model := startServer(t)
	upstreams := &processes.Servers{URLs: []string{model.URL}}
	args := []string{"--config", "weir.yaml", "--redis", redis.URL(), "--gossip", "127.0.0.1:0"}
	one := processes.StartBy(t, exec.Command(binary), "127.0.0.1", "one", upstreams, args...)
	two := processes.StartBy(t, exec.Command(binary), "127.0.0.1", "two", upstreams, append(args, "--join", one.Gossip)...)
	replicas := []*processes.Replica{one, two}
	for _, r := range replicas {
		eventually(t, "the replicas reach each other", func() bool {
			seen, err := processes.Get[api.Replicas](r, "/v1/replicas?scope=replica")
			return err == nil && len(seen.Replicas) == 2 && !slices.ContainsFunc(seen.Replicas, func(p api.Replica) bool { return !p.Reachable })
		})
	}

	var clients sync.WaitGroup
	ask := func(r *processes.Replica, padding int) {
		clients.Go(func() {
			body := `{"model": "m", "messages": [{"role": "user", "content": "` + strings.Repeat("x", padding) + `"}]}`
			req, err := http.NewRequest(http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("x-llm-d-inference-fairness-id", "tenant")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("%d bytes at %s: %s", padding, r.ID, res.Status)
			}
		})
	}
	ask(one, 5000)
	eventually(t, "the first request has the slot", func() bool { return len(model.seen()) == 1 })
	const requests = 40 // more than stand before the ledger at a time
	for n := range requests {
		ask(replicas[n%2], 100+(n*17)%requests*10)
	}
	eventually(t, "all others wait", func() bool {
		pool, err := processes.Get[api.Pool](one, "/v1/pool")
		return err == nil && pool.Queued == requests
	})
	time.Sleep(200 * time.Millisecond) // the best of them stand before the ledger
	close(model.letGo)
	clients.Wait()
	sizes := model.seen()[1:]
	if len(sizes) != requests || !slices.IsSorted(sizes) {
		t.Errorf("served in the order of sizes %v, want the smallest first", sizes)
	}
}
