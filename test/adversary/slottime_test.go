package adversary

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestSlotTimeIsFair has a tenant of requests that hold their slots for long beside one
// whose requests are short, under the policy whose unit is slot-time: both hold the same part
// of the slots, on one replica and on three by which they come in unevenly.
func TestSlotTimeIsFair(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s a fleet")
	}
	file := configFile(t, `
plugins: [{type: slot-fairness-policy, parameters: {expectedSeconds: 0.3}}]
flowControl: {defaultPriorityBand: {fairnessPolicyRef: slot-fairness-policy}}
`)
	lasts := map[string]time.Duration{"long": 900 * time.Millisecond, "short": 90 * time.Millisecond}
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " replicas"), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			inFlight := map[string]int{}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				flow := "short"
				if strings.Contains(string(body), "long") {
					flow = "long"
				}
				mu.Lock()
				inFlight[flow]++
				mu.Unlock()
				time.Sleep(lasts[flow])
				mu.Lock()
				inFlight[flow]--
				mu.Unlock()
				_, _ = io.WriteString(w, "{}")
			}))
			t.Cleanup(server.Close)
			cluster := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: &processes.Servers{URLs: []string{server.URL}}}
			for i := range n {
				cluster.Add(fmt.Sprint("r", i+1), "--config", file, "--fairness", "slot-fairness-policy", "--max-concurrency", fmt.Sprint(slots))
			}
			cluster.Wait("everybody knows everybody", processes.Patience, func() bool { return cluster.Agree(n) })
			ctx, stop := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			defer clients.Wait()
			defer stop()
			for flow := range lasts {
				for i := range 3 * slots {
					r := cluster.Replicas[0]
					if flow == "long" { // it comes in by all
						r = cluster.Replicas[i%n]
					}
					clients.Go(func() {
						for ctx.Err() == nil {
							askSlow(ctx, r, flow)
						}
					})
				}
			}
			time.Sleep(3 * time.Second)
			var held [2]float64
			for end := time.Now().Add(7 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				mu.Lock()
				held[0] += float64(inFlight["long"])
				held[1] += float64(inFlight["short"])
				mu.Unlock()
			}
			part := held[0] / (held[0] + held[1])
			t.Logf("the tenant of long requests holds %.3f of the slots", part)
			if math.Abs(part-0.5) > 0.05 {
				t.Errorf("the tenant of long requests holds %.3f of the slots, want 0.5", part)
			}
		})
	}
}

// askSlow makes one request of a flow that the server lets last as its name says.
func askSlow(ctx context.Context, r *processes.Replica, flow string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/rerank", strings.NewReader(flow))
	if err != nil {
		return
	}
	req.Header.Set("x-llm-d-inference-fairness-id", flow)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}
