package adversary

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestSlotsHeld has clients that read nothing take every slot of a pool, and then a server
// that answers nothing: within the bound, others are served as before.
func TestSlotsHeld(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 10 s")
	}
	t.Parallel() // it mostly waits
	chunk := strings.Repeat("x", 64<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), "much"):
			for range 500 {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		case strings.Contains(string(body), "never"):
			<-r.Context().Done()
		default:
			time.Sleep(20 * time.Millisecond)
			_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":1,"completion_tokens":16}}`)
		}
	}))
	t.Cleanup(server.Close)
	file := configFile(t, "weir: {timeouts: {client: 1s, firstByte: 1s}}\n")
	r := processes.Start(t, "r1", &processes.Servers{URLs: []string{server.URL}}, "--config", file, "--max-concurrency", "8")
	honest, ctx := processes.StartLoad(t)
	honest.Tenant(ctx, "honest", 8, r)
	honest.Next(100, "honest")
	before, _ := honest.Window(time.Second, "honest")
	for _, c := range []struct{ what, request string }{
		{"clients that read nothing", "POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nx-llm-d-inference-fairness-id: slow\r\nContent-Length: 4\r\n\r\nmuch"},
		{"a server that answers nothing", "POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nx-llm-d-inference-fairness-id: slow\r\nContent-Length: 5\r\n\r\nnever"},
	} {
		send(t, r, 8, func(int) string { return c.request })
		// The bound, and a probe of the server, are over after 2.5 s; the machine may be busier
		// than it was before, and a slot that is held would leave none to others.
		began, after := time.Now(), 0
		for after < before/2 && time.Since(began) < processes.Patience {
			after, _ = honest.Window(time.Second, "honest")
		}
		t.Logf("%s: %d honest requests a second before, %d again after %v", c.what, before, after, time.Since(began).Round(time.Second))
		if after < before/2 {
			t.Errorf("%s: %d honest requests a second, %d before", c.what, after, before)
		}
	}
}
