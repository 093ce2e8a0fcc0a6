package integration

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestReload changes policy and weights of a replica under load, then breaks the
// file: nobody fails, and the shares follow.
func TestReload(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 12 s")
	}
	t.Parallel() // it mostly waits
	c := processes.NewConfiguration(t)
	const detector = `
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: 12}}
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
`
	c.Write(detector)
	s := processes.StartServers(t, 2, processes.Limit/2)
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "r1", s, "--config", c.File)
	l, ctx := processes.StartLoad(t)
	tenants := []string{"a", "b", "c"}
	for _, id := range tenants {
		l.Tenant(ctx, id, 40, r)
	}
	l.Next(100, tenants...)
	c.Reload(detector+`  defaultPriorityBand: {fairnessPolicyRef: vtc-fairness-policy}
weir:
  flows: [{id: b, weight: 2}, {id: "c*", weight: 4}]
`, r)
	l.Next(300, tenants...) // what was in order before
	got := l.Next(700, tenants...)
	a, b, cc := got[0], got[1], got[2]
	t.Logf("by weights 1, 2, 4: %d, %d, %d requests", a, b, cc)
	for _, share := range []float64{float64(b) / 2 / float64(a), float64(cc) / 4 / float64(a)} {
		if share < 0.9 || share > 1.1 {
			t.Errorf("%d, %d, %d requests by weights 1, 2, 4", a, b, cc)
		}
	}
	c.Write("flowControl: {maxByte: 1}\n")
	if !r.Says("maxByte", processes.Patience) {
		t.Error("the bad file is not named")
	}
	l.Next(100, tenants...)
	if failures := l.Failed(nil); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %v", len(failures), failures[0].Err)
	}
	if p := s.Peak.Load(); p > processes.Limit {
		t.Errorf("%d in flight, the limit is %d", p, processes.Limit)
	}
}

// TestUtilization lets the servers' own metrics say how full they are: about five
// requests wait at each, and the servers are busy.
func TestUtilization(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	c := processes.NewConfiguration(t)
	c.Write("flowControl: {defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}}\n")
	s := processes.StartServers(t, 2, 8)
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "r1", s, "--config", c.File)
	l, ctx := processes.StartLoad(t)
	l.Tenant(ctx, "a", 60, r)
	l.Tenant(ctx, "b", 60, r)
	time.Sleep(2 * time.Second)
	s.Peak.Store(0)
	var most, least, sum, n int64 = 0, 1 << 30, 0, 0
	for range 100 {
		time.Sleep(20 * time.Millisecond)
		now := s.InFlight.Load()
		most, least, sum, n = max(most, now), min(least, now), sum+now, n+1
	}
	t.Logf("16 sequences run at most; in flight: %d on average, from %d to %d", sum/n, least, most)
	if sum/n < 14 || sum/n > 60 {
		t.Errorf("%d in flight on average, of 120 that want to be: the servers run 16 and are full with 10 more waiting", sum/n)
	}
	if failures := l.Failed(nil); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %v", len(failures), failures[0].Err)
	}
}

// TestIdentity wants API keys to say whose a request is.
func TestIdentity(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts processes")
	}
	c := processes.NewConfiguration(t)
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(keys, fmt.Appendf(nil, "- {sha256: %x, flow: team-a, weight: 2, priority: 5}\n", sha256.Sum256([]byte("secret"))), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Write("weir: {identity: {apiKeys: " + keys + "}}\n")
	s := processes.StartServers(t, 1, 8)
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "r1", s, "--config", c.File, "--max-concurrency", "8")
	ask := func(key string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/completions",
			strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":1}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key)
		req.Header.Set("x-llm-d-inference-fairness-id", "another")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if code := ask("secret"); code != http.StatusOK {
		t.Errorf("with the key: status %d", code)
	}
	if code := ask("guess"); code != http.StatusUnauthorized {
		t.Errorf("with an unknown key: status %d", code)
	}
	answer, err := processes.Get[api.Flows](r, "/v1/flows")
	flows := answer.Flows
	if err != nil || len(flows) != 1 || flows[0].ID != "team-a" || flows[0].Priority != 5 || flows[0].Weight != 2 {
		t.Errorf("flows %+v, %v; want team-a at priority 5 with weight 2", flows, err)
	}
}
