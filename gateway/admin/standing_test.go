package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestBandsLimitInAnOutage wants the fleet's limit of a priority to be the fleet's, whatever
// each replica may use of it without the others.
func TestBandsLimitInAnOutage(t *testing.T) {
	bands, _ := mergeBands([]partOf[statePart]{
		{part: statePart{Bands: []bandPart{{Ceiling: 12, Limit: 8}}}},
		{part: statePart{Bands: []bandPart{{Ceiling: 12, Limit: 4}}}},
		{part: statePart{Bands: []bandPart{{Ceiling: store.NoOpinion, Limit: store.NoOpinion}}}},
	})
	if len(bands) != 1 || bands[0].Limit == nil || *bands[0].Limit != 12 {
		t.Errorf("%+v, want the limit 12", bands)
	}
}

// TestWhatIsLeftInAnOutage explains a request whose replica has the ledger, which leaves
// others their share.
func TestWhatIsLeftInAnOutage(t *testing.T) {
	limit := int64(12)
	e := &explaining{
		request: &api.Request{Ingress: "a"}, own: &flow{},
		pool:   &api.Pool{Endpoints: 1, Limit: &limit, InFlight: 8, Bands: []api.Band{{Limit: &limit, InFlight: 8}}},
		states: []partOf[statePart]{{"a", statePart{Ledger: core.Connected, Bands: []bandPart{{Ceiling: 12, Limit: 8}}}}, {"b", statePart{Ledger: core.Outage}}},
	}
	e.hold()
	if want := "priority 0 may use 8 of the pool's slots beside replicas in an outage, and 8 are in use"; e.why.HeldBy != api.HeldByBand || e.why.Reason != want {
		t.Errorf("%s: %s, want %s", e.why.HeldBy, e.why.Reason, want)
	}
}

// TestQueuedOfSilentReplicas wants what waits in the queues of those that answer not to be
// more than what waits in all.
func TestQueuedOfSilentReplicas(t *testing.T) {
	parts := []partOf[statePart]{{"a", statePart{Ledger: core.Connected, Waiting: 20, Bands: []bandPart{{Queued: 30}}, Totals: core.Totals{Queued: 25}}}}
	for whole, want := range map[bool]int64{true: 20, false: 30} {
		if got := mergePool(parts, whole).Queued; got != want {
			t.Errorf("with all that there is (%v) %d wait, want %d", whole, got, want)
		}
	}
}

// TestNotServed wants refusals outside of flow control and clients that went away to count.
func TestNotServed(t *testing.T) {
	part := statePart{Ledger: core.Connected, SpanMS: 10_000, Refusals: map[string]uint64{"model_required": 20}, Bands: []bandPart{{Recent: countsPart{Refused: 4, Evicted: 1}}}}
	if got := mergePool([]partOf[statePart]{{"a", part}}, true).NotServed; got != 2 {
		t.Errorf("%g a second, want 2", got)
	}
	part.Refusals = nil
	if got := mergePool([]partOf[statePart]{{"a", part}}, true).NotServed; got != 0.5 {
		t.Errorf("%g a second, want 0.5", got)
	}
}

// TestWhyOfDrained wants no time to be promised while nothing goes.
func TestWhyOfDrained(t *testing.T) {
	f := newFleet(t, 1, 1)
	a := f.replicas["a"]
	for i := range 10 { // a rate of late
		r := &controller.Request{Flow: policies.FlowKey{ID: "x"}, Name: fmt.Sprint("before-", i)}
		if outcome, err := a.control.EnqueueAndWait(t.Context(), r); outcome != controller.Dispatched {
			t.Fatal(outcome, err)
		}
		a.control.Release(r, controller.Usage{})
	}
	f.begin("a", "x", "flies", 0)
	eventually(t, "one is in flight", func() bool { _, inFlight := a.waits(t); return inFlight == 1 })
	f.begin("a", "x", "waits", 0)
	eventually(t, "one waits", func() bool { queued, inFlight := a.waits(t); return queued == 1 && inFlight == 1 })
	detail := func() (d api.RequestDetail) {
		a.get(t, "/v1/requests/waits", 200, &d)
		return d
	}
	eventually(t, "it waits for about some time", func() bool { d := detail(); return d.Why != nil && d.Why.ExpectedMS != nil })
	a.cfg.Gateway.Endpoints().Drain(map[string]bool{"127.0.0.1:1": true})
	eventually(t, "it is held", func() bool { return detail().Why.HeldBy == api.HeldByEndpoints })
	if why := detail().Why; why.ExpectedMS != nil || why.Reason != "no endpoint of the pool can be used: 1 drained by an operator" {
		t.Errorf("%+v", why)
	}
	var pool api.Pool
	if a.get(t, "/v1/pool", 200, &pool); pool.EndpointsDrained != 1 || pool.EndpointsEjected != 0 {
		t.Errorf("%+v, want one drained", pool)
	}
}

// TestPlaceInGroup wants the place of a request to be among those that it takes turns with.
func TestPlaceInGroup(t *testing.T) {
	groupOf := func(id string) shard.Group {
		if strings.HasPrefix(id, "acme") {
			return shard.Group{Path: "acme", Weight: 1}
		}
		return shard.Group{Path: shard.Others, Weight: 1}
	}
	groups := func(id string) []shard.Group { return []shard.Group{groupOf(id)} }
	f := newFleet(t, 1, 1, controller.WithGroups(groups))
	a := f.replicas["a"]
	a.cfg.Configuration = func() Configuration { return Configuration{Groups: groups, GroupNames: []string{"acme"}} }
	f.begin("a", "first", "flies", 0)
	eventually(t, "one is in flight", func() bool { _, inFlight := a.waits(t); return inFlight == 1 })
	for i := range 4 {
		f.begin("a", "other", fmt.Sprint("other-", i), 0)
	}
	f.begin("a", "acme-1", "one", 0)
	eventually(t, "5 wait", func() bool { queued, _ := a.waits(t); return queued == 5 })
	f.begin("a", "acme-1", "two", 0)
	eventually(t, "6 wait", func() bool { queued, _ := a.waits(t); return queued == 6 })
	var d api.RequestDetail
	a.get(t, "/v1/requests/two", 200, &d)
	if w := d.Why; w.Place != 2 || w.Group != "acme" || w.InGroup != 2 || w.InBand != 6 {
		t.Errorf("place %d of %d in %q, of %d; want 2 of 2 in acme, of 6", w.Place, w.InGroup, w.Group, w.InBand)
	}
}

// waits is how many requests wait and are in flight.
func (m *member) waits(t *testing.T) (queued, inFlight int64) {
	t.Helper()
	var p api.Pool
	m.get(t, "/v1/pool", 200, &p)
	return p.Queued, p.InFlight
}

// lateLedger takes what is set, and its answers do not come in time.
type lateLedger struct {
	*memory.Ledger
	late *bool
}

var errLate = errors.New("no answer in time")

func (l lateLedger) Overrides(ctx context.Context, put ...store.Override) ([]store.Override, error) {
	all, err := l.Ledger.Overrides(ctx, put...)
	if *l.late {
		return nil, errLate
	}
	return all, err
}

// TestSetByASlowLedger wants what worked not to be called a failure, and what may have worked to
// be said so.
func TestSetByASlowLedger(t *testing.T) {
	m := newFleet(t, 1, 1).replicas["a"]
	late := true
	m.cfg.Guarded = true
	m.cfg.Overrides = overrides.New(overrides.Config{Ledger: lateLedger{memory.New(memory.Config{}), &late}})
	set := func() (int, string) {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/overrides", strings.NewReader(`{"flow": "x", "weight": 2, "for": "10m"}`)))
		return w.Code, w.Body.String()
	}
	if code, text := set(); code != http.StatusServiceUnavailable || !strings.Contains(text, "it may have been set, and weir overrides says whether: no answer in time") {
		t.Errorf("%d %s", code, text)
	}
	late = false
	if err := m.cfg.Overrides.Put(t.Context(), overrides.Subject{Flow: "x"}, overrides.Settings{}, time.Minute); err == nil {
		t.Error("an override of nothing is taken")
	}
	if code, text := set(); code != http.StatusOK || !strings.Contains(text, `"weight": 2`) {
		t.Errorf("%d %s", code, text)
	}
	late = true // after it was set, the ledger cannot be read
	answer, err := m.applied(t.Context())
	if all, ok := answer.(*api.Overrides); err != nil || !ok || len(all.Overrides) != 1 {
		t.Errorf("what is set cannot be told: %v %+v", err, answer)
	}
}
