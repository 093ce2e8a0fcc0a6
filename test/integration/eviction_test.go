package integration

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestEviction fills a pool by two replicas with sheddable requests of some seconds,
// then sends important ones by the first: just as many sheddable ones are ended, and
// their clients are told so.
func TestEviction(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	t.Parallel() // it mostly waits
	c := processes.NewConfiguration(t)
	c.Write(`
plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 8}}]
flowControl: {saturationDetector: {pluginRef: concurrency-detector}, enableEviction: true}
weir: {objectives: [{name: batch, priority: -1}, {name: user, priority: 1}]}
`)
	s := processes.StartServers(t, 1, 8)
	s.Watch()
	redis := redistest.Start(t)
	var replicas []*processes.Replica
	for n := range 2 {
		replicas = append(replicas, processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", fmt.Sprint("r", n), s, "--config", c.File, "--redis", redis.URL()))
	}
	ask := func(r *processes.Replica, objective string, tokens int) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/completions",
			strings.NewReader(fmt.Sprintf(`{"model":"simulated","prompt":"hi","max_tokens":%d}`, tokens)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x-llm-d-inference-objective", objective)
		req.Header.Set(processes.TenantHeader, objective)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		defer res.Body.Close() //nolint:errcheck // it was read
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode, res.Header.Get("x-llm-d-request-dropped-reason")
	}
	var clients sync.WaitGroup
	var mu sync.Mutex
	ended := make(map[string]int)
	for n := range 8 {
		clients.Go(func() {
			code, reason := ask(replicas[n%2], "batch", 600)
			mu.Lock()
			ended[fmt.Sprint(code, " ", reason)]++
			mu.Unlock()
		})
	}
	f := &processes.Cluster{T: t, Replicas: replicas}
	f.Wait("the pool is full of sheddable requests", processes.Patience, func() bool { return s.InFlight.Load() == 8 })
	var longest time.Duration
	for range 3 {
		clients.Go(func() {
			began := time.Now()
			if code, reason := ask(replicas[0], "user", 200); code != http.StatusOK {
				t.Errorf("an important request: status %d, %s", code, reason)
			}
			mu.Lock()
			longest = max(longest, time.Since(began))
			if ended["200 "] > 0 {
				t.Error("an important request waited for sheddable ones to end by themselves")
			}
			mu.Unlock()
		})
	}
	clients.Wait()
	t.Logf("three important requests took %v at most; how the sheddable ones ended: %v; at most %d in flight", longest, ended, s.Peak.Load())
	if ended["429 evicted"] != 3 || ended["200 "] != 5 {
		t.Errorf("of 8 sheddable requests, how many ended how: %v; want 3 evicted", ended)
	}
	f.Wait("the metrics tell of three revocations, none of them under way", processes.Patience, func() bool {
		return f.Counter("weir_flow_control_revocations_issued_total") == 3 && f.Counter("weir_flow_control_pending_reclaim") == 0
	})
	if s.Begun() != 11 {
		t.Errorf("%d requests reached the server, want 11", s.Begun())
	}
	if over := s.Over(8); over > processes.Noticing || s.Peak.Load() > 8+3 {
		t.Errorf("more than 8 were in flight for %v, at most %d", over, s.Peak.Load())
	}
}
