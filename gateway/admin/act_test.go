package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/store/memory"
)

// delete asks a replica, which may be acted on from now on, to delete what the path names.
func (m *member) delete(ctx context.Context, path string) (int, string) {
	m.cfg.Guarded = true
	if m.cfg.Overrides == nil {
		m.cfg.Overrides = overrides.New(overrides.Config{Ledger: memory.New(memory.Config{})})
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodDelete, path, nil))
	return w.Code, w.Body.String()
}

// TestTakeBackNamesOne wants a flow and an endpoint together, and neither, to be refused.
func TestTakeBackNamesOne(t *testing.T) {
	m := newFleet(t, 1, 1).replicas["a"]
	for query, want := range map[string]int{"": 400, "?flow=a&endpoint=b": 400, "?flow=a": 404, "?endpoint=gone": 404} {
		if code, text := m.delete(t.Context(), "/v1/overrides"+query); code != want {
			t.Errorf("%q: %d %s, want %d", query, code, text, want)
		}
	}
}

// TestLateEvictionIsTold has a replica end a request whose answer comes too late: it tells of
// it, and from where it was asked for.
func TestLateEvictionIsTold(t *testing.T) {
	f := newFleet(t, 2, 1)
	b := f.replicas["b"]
	core, logs := observer.New(zapcore.InfoLevel)
	b.cfg.Logger = zap.New(core)
	f.begin("b", "x", "flies", 0)
	f.begin("b", "x", "waits", 0)
	var requests, flying api.Requests
	eventually(t, "one request flies, and one waits", func() bool { // whichever came first
		b.get(t, "/v1/requests?state=in_flight", 200, &flying)
		b.get(t, "/v1/requests?state=waiting", 200, &requests)
		return len(flying.Requests) == 1 && len(requests.Requests) == 1
	})
	f.mu.Lock()
	f.late = map[string]bool{"b": true}
	f.mu.Unlock()
	code, text := f.replicas["a"].delete(t.Context(), "/v1/requests/"+requests.Requests[0].ID)
	if code != http.StatusServiceUnavailable {
		t.Errorf("%d %s, want 503", code, text)
	}
	told := logs.FilterMessage("an operator ended a request").All()
	if len(told) != 1 || told[0].ContextMap()["from"] != "192.0.2.1:1234" || told[0].ContextMap()["request"] != requests.Requests[0].ID {
		t.Errorf("it is logged as %v", told)
	}
	var events api.Events
	b.get(t, "/v1/events?scope=replica&kind="+api.RequestEvicted, 200, &events)
	if len(events.Events) != 1 {
		t.Errorf("events are %+v, want the eviction", events.Events)
	}
}

// TestNothingIsEvictedInShadow wants it to be said that a request is only played, and what is
// played to go on.
func TestNothingIsEvictedInShadow(t *testing.T) {
	f := newFleet(t, 1, 1)
	a := f.replicas["a"]
	a.cfg.Gateway.Shadow().Set(true)
	f.begin("a", "x", "flies", -1)
	f.begin("a", "x", "waits", 0)
	var requests api.Requests
	both := func() bool {
		a.get(t, "/v1/requests", 200, &requests)
		return len(requests.Requests) == 2
	}
	eventually(t, "two requests are played", both)
	for _, r := range requests.Requests {
		if code, text := a.delete(t.Context(), "/v1/requests/"+r.ID); code != http.StatusConflict || !strings.Contains(text, "only played") {
			t.Errorf("%s: %d %s, want 409", r.ID, code, text)
		}
	}
	if code, text := a.delete(t.Context(), "/v1/requests/none"); code != http.StatusNotFound {
		t.Errorf("%d %s, want 404", code, text)
	}
	if !both() {
		t.Errorf("what is played was ended: %+v", requests.Requests)
	}
}
