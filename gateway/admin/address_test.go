package admin_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/internal/rig"
)

func TestMetricsAndProbes(t *testing.T) {
	r := rig.New(t, 2, rig.ModelServer(t))
	r.Post(t, "/v1/completions", rig.Chat)
	w := httptest.NewRecorder()
	r.Admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
	for _, name := range []string{
		`weir_flow_control_requests_total{inference_pool="test",outcome="Dispatched",priority="0"} 1`,
		`weir_flow_control_limit{inference_pool="test"} 2`, `weir_ledger_state{inference_pool="test",state="connected"} 1`,
		"weir_flow_control_pool_saturation", "weir_flow_control_request_queue_duration_seconds_bucket", "weir_ledger_turn_duration_seconds_count",
	} {
		if !bytes.Contains(w.Body.Bytes(), []byte(name)) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	for ready, want := range map[bool]int{true: 200, false: 503} {
		r.Admin.SetReady(ready)
		w := httptest.NewRecorder()
		r.Admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/readyz", nil))
		if w.Code != want {
			t.Errorf("/readyz when ready is %v: %d", ready, w.Code)
		}
	}
	for _, want := range []int{http.StatusNotFound, http.StatusOK} { // before and after it is asked for
		w := httptest.NewRecorder()
		r.Admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/debug/pprof/", nil))
		if w.Code != want {
			t.Errorf("/debug/pprof/: %d, want %d", w.Code, want)
		}
		if want == http.StatusNotFound {
			r.Admin.ServeProfiles()
		}
	}
}

// TestStuckIsNotHealthy wants /healthz to fail while flow control takes nothing in.
func TestStuckIsNotHealthy(t *testing.T) {
	detector := rig.NewBlocking()
	r := rig.With(t, 1, []controller.Option{controller.WithSaturationDetector(detector)}, func(c *rig.Config) { c.StuckAfter = 50 * time.Millisecond }, rig.ModelServer(t))
	r.Pool.Observe()
	healthz := func() int {
		w := httptest.NewRecorder()
		r.Admin.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/healthz", nil))
		return w.Code
	}
	if code := healthz(); code != http.StatusServiceUnavailable {
		t.Errorf("%d while it is stuck", code)
	}
	close(detector.Until)
	if code := healthz(); code != http.StatusOK {
		t.Errorf("%d when it goes on", code)
	}
}
