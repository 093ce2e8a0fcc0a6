package endpoints

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestUnreadablePages has a server's page be wrong in a way that stays, with numbers that change: it is
// logged once, and one reading after the other goes by the same connection.
func TestUnreadablePages(t *testing.T) {
	const readings = 10
	for name, page := range map[string]func(w http.ResponseWriter, n int64){
		"in percent": func(w http.ResponseWriter, n int64) {
			fmt.Fprintf(w, "vllm:kv_cache_usage_perc{model_name=\"llama\"} %d\n", 40+n)
		},
		"no number": func(w http.ResponseWriter, n int64) { fmt.Fprintf(w, "vllm:kv_cache_usage_perc 0,%d\n", n) },
		"no time":   func(w http.ResponseWriter, n int64) { fmt.Fprintf(w, "vllm:kv_cache_usage_perc 0 %d.5\n", n) },
		"a label cut off": func(w http.ResponseWriter, n int64) {
			fmt.Fprintf(w, "vllm:kv_cache_usage_perc{model_name=\"llama} %d\n", n)
		},
		"a status": func(w http.ResponseWriter, _ int64) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			var read, conns atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				page(w, read.Add(1))
				_, _ = w.Write(vllmPage(48 << 10)) // more than is read at once
			}))
			server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			}
			server.Start()
			defer server.Close()
			source, err := NewStatic(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zapcore.WarnLevel)
			newPool(t, Config{
				Source: source, Interval: 5 * time.Millisecond, Watch: Watch{Scrape: true}, Metrics: vllmMetrics(), Logger: zap.New(core),
				Waiting: func() bool { return true },
			})
			for began := time.Now(); read.Load() < readings; time.Sleep(time.Millisecond) {
				if time.Since(began) > 60*time.Second {
					t.Fatalf("it was read %d times", read.Load())
				}
			}
			if n := conns.Load(); n > readings/3 { // on a slow machine a reading may take too long, which ends its connection
				t.Errorf("%d connections for %d readings", n, read.Load())
			}
			if n := logs.Len(); n < 1 || n > readings/3 {
				t.Errorf("%d lines for %d readings: %v", n, read.Load(), logs.All())
			}
		})
	}
}
