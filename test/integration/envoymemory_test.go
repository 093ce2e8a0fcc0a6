package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestEnvoyBeyondMemory has 1,000 clients of one tenant post 64 kB each through a real Envoy in one moment,
// twice what there is memory for: what has no room is refused, each by itself and with a time to come
// again, the others are served, and so is another tenant. Envoy may be so slow that the first messages of
// hundreds of its streams come after a second.
func TestEnvoyBeyondMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	const clients, budget = 1000, 32 << 20
	r := processes.Start(t, "r1", processes.StartServers(t, 1, 64), "--ext-proc", "127.0.0.1:0", "--max-concurrency", "64", "--memory-budget", fmt.Sprint(budget))
	url, _ := startEnvoy(t, []string{r.ExtProc})
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	t.Cleanup(transport.CloseIdleConnections)
	ask := func(tenant, body string) (code int, header http.Header, text []byte, err error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/completions", strings.NewReader(body))
		if err != nil {
			return 0, nil, nil, err
		}
		req.Header.Set("X-Llm-D-Inference-Fairness-Id", tenant)
		res, err := transport.RoundTrip(req)
		if err != nil {
			return 0, nil, nil, err
		}
		defer res.Body.Close() //nolint:errcheck // it was read
		text, err = io.ReadAll(res.Body)
		return res.StatusCode, res.Header, text, err
	}
	body := `{"model":"simulated","prompt":"` + strings.Repeat("x", 64<<10) + `","max_tokens":1}`
	var all sync.WaitGroup
	var mu sync.Mutex
	counts := make(map[string]int)
	for range clients {
		all.Go(func() {
			code, header, text, err := ask("many", body)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				counts[err.Error()]++
			case code == http.StatusOK:
				counts["served"]++
			case code == http.StatusServiceUnavailable && header.Get("Retry-After") != "" && strings.Contains(string(text), "memory_exhausted"):
				counts["refused"]++
			default:
				counts[fmt.Sprintf("%d %.200s", code, text)]++
			}
		})
	}
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		code, _, text, err := ask("other", `{"model":"simulated","prompt":"x","max_tokens":1}`)
		if code == http.StatusOK {
			break
		}
		// Its stream may be among those that have said nothing for a second.
		if code != http.StatusServiceUnavailable || time.Since(began) > processes.Patience {
			t.Errorf("another tenant: %d %s, %v", code, text, err)
			break
		}
	}
	all.Wait()
	t.Logf("%v", counts)
	if counts["served"]+counts["refused"] != clients || counts["served"] < clients/10 {
		t.Errorf("of %d clients %d were served and %d refused for memory: %v", clients, counts["served"], counts["refused"], counts)
	}
}
