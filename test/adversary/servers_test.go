package adversary

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirflow/weir/test/processes"
)

// TestServersInMemory has 24 model servers answer with heads and metrics that hardly end, all at once: the
// heads are refused, and the memory stays within the budget.
func TestServersInMemory(t *testing.T) {
	slow(t)
	const servers, budget = 24, 64 << 20
	head := "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: \r\n", 1<<20) // some 6 MB, which take five times as much
	metrics := strings.Repeat("vllm:num_requests_running{engine=\"0\"} 1\n", 1000)
	s := &processes.Servers{}
	for range servers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v1/models":
				_, _ = io.WriteString(w, `{"data":[]}`)
			case "/metrics":
				for err := error(nil); err == nil; {
					_, err = io.WriteString(w, metrics)
				}
			default:
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, head)
				_ = conn.Close()
			}
		}))
		t.Cleanup(server.Close)
		s.URLs = append(s.URLs, server.URL)
	}
	r := processes.Start(t, "r1", s, "--config", configFile(t, ""), "--memory-budget", fmt.Sprint(budget))
	idle := memory(t, r, "VmRSS")
	var clients sync.WaitGroup
	for range 4 * servers {
		clients.Go(func() {
			res, err := http.Post(r.URL+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"x"}`))
			if err != nil {
				t.Error(err)
				return
			}
			if _ = res.Body.Close(); res.StatusCode != http.StatusBadGateway && res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("status %d", res.StatusCode)
			}
		})
	}
	clients.Wait()
	peak := memory(t, r, "VmHWM")
	t.Logf("%d MB when ready, %d MB at the peak", idle>>20, peak>>20)
	if peak > idle+budget {
		t.Errorf("%d MB of memory at the peak and %d when ready, with a budget of %d", peak>>20, idle>>20, budget>>20)
	}
}
