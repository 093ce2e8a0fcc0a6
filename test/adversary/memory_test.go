package adversary

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// configFile writes a configuration file.
func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text = "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n" + text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// silentServer is a model server that takes requests and answers none of them.
func silentServer(t *testing.T) *processes.Servers {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return &processes.Servers{URLs: []string{s.URL}}
}

// memory is what a process has of the machine's memory, in bytes.
func memory(t *testing.T, r *processes.Replica, what string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Process.Process.Pid))
	if err != nil {
		t.Skipf("skipped: the memory of a process cannot be read here: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// send opens n connections and writes the text to each. They are closed with the test.
func send(t *testing.T, r *processes.Replica, n int, text func(i int) string) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < n; i += 8 {
				c, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
				_, _ = c.Write([]byte(text(i))) // a refusal may come before all of it went
			}
		})
	}
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
	})
	writers.Wait()
	return conns
}

// TestWaitingIsCheap wants thousands of waiting requests of 4 kB to cost a replica little
// more memory than net/http takes for connections that a body of 4 kB was read of, which is
// 25 kB each: two buffers of 4 kB, one of 2 kB, two goroutines, and the body.
func TestWaitingIsCheap(t *testing.T) {
	slow(t)
	const n, most = 19_000, 30 << 10 // as many as 20,000 file descriptors allow
	file := configFile(t, "flowControl: {defaultPriorityBand: {maxRequests: 30000}}\n")
	r := processes.Start(t, "r1", silentServer(t), "--config", file, "--max-concurrency", "1")
	idle := memory(t, r, "VmRSS")
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 4040) + `"}]}`
	request := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nUser-Agent: test\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	send(t, r, n, func(int) string { return request })
	eventually(t, "all but one wait", 30*time.Second, func() bool {
		pool, err := processes.Get[api.Pool](r, "/v1/pool")
		return err == nil && pool.Queued == n-1
	})
	peak := memory(t, r, "VmHWM")
	each := (peak - idle) / n
	t.Logf("%d MB, %d MB when idle: %d bytes a request", peak>>20, idle>>20, each)
	if each > most {
		t.Errorf("%d bytes for each of %d waiting requests of 4 kB, want at most %d", each, n, most)
	}
}

// TestBodiesInMemory has strangers announce large bodies and send little of them, or much:
// the replica keeps to its budget of memory, and tenants do not notice.
func TestBodiesInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 5 s")
	}
	const attackers, budget = 2000, 512 << 20
	servers := processes.StartServers(t, 1, 8)
	for _, c := range []struct {
		name string
		sent int // bytes of 32 MiB
		flow func(i int) string
	}{
		{"one byte each", 1, func(int) string { return "" }},
		{"a MiB each, one flow", 1 << 20, func(int) string { return "" }},
		{"a MiB each, each a flow of its own", 1 << 20, func(i int) string { return fmt.Sprint("x-llm-d-inference-fairness-id: stranger-", i, "\r\n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sent > 1 {
				slow(t)
			}
			r := processes.Start(t, "r1", servers, "--max-concurrency", "8", "--memory-budget", fmt.Sprint(budget))
			honest, ctx := processes.StartLoad(t)
			tenants := []string{"honest-0", "honest-1", "honest-2", "honest-3"}
			for _, id := range tenants {
				honest.Tenant(ctx, id, 1, r)
			}
			honest.Next(20, tenants...) // what is new is slow
			before, _ := honest.Window(time.Second, tenants...)
			part := strings.Repeat("x", c.sent)
			send(t, r, attackers, func(i int) string {
				return fmt.Sprintf("POST /v1/completions HTTP/1.1\r\nHost: weir\r\n%sContent-Length: %d\r\n\r\n%s", c.flow(i), 32<<20, part)
			})
			// From here on: what is sent takes the machine, and not the replica alone. The best of some
			// seconds counts: others may take the machine, too, and the attack goes on all the while.
			during := 0
			for range 5 {
				n, _ := honest.Window(time.Second, tenants...)
				if during = max(during, n); during >= before/2 {
					break
				}
			}
			peak := memory(t, r, "VmHWM")
			t.Logf("peak %d MB of a budget of %d; honest requests: %d a second before, %d during", peak>>20, budget>>20, before, during)
			if peak > budget+budget/4 {
				t.Errorf("%d MB of memory at the peak with a budget of %d", peak>>20, budget>>20)
			}
			if failed := honest.Failed(nil); len(failed) > 0 {
				t.Errorf("%d honest requests failed, one with %v", len(failed), failed[0].Err)
			}
			if during < before/2 {
				t.Errorf("%d honest requests a second, %d without the attack", during, before)
			}
		})
	}
}
