package admin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

// TestClient asks for everything by the client.
func TestClient(t *testing.T) {
	f := newFleet(t, 2, 1)
	m := f.replicas["a"]
	token := "secret"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		m.ServeHTTP(w, r)
	}))
	defer server.Close()
	defer server.Client().CloseIdleConnections()
	c := &api.Client{Address: server.Listener.Addr().String(), Token: token, HTTP: server.Client()}
	ctx := t.Context()
	f.begin("b", "t", "x/y z", 3)
	eventually(t, "the request is in flight", func() bool {
		p, err := c.Pool(ctx, api.Query{})
		return err == nil && p.InFlight == 1
	})
	if s, err := c.Shares(ctx, api.Query{}); err != nil || len(s.Shares) != 1 || s.Shares[0].Guaranteed != 0 || s.Shares[0].Entitled != 1 || len(s.Fleet.Answered) != 2 {
		t.Errorf("shares where nothing is guaranteed: %+v, %v", s, err)
	}
	three, four := 3, 4
	for priority, want := range map[*int]int{&three: 1, &four: 0} {
		flows, err := c.Flows(ctx, api.Query{Flow: "T", Priority: priority, Sort: "-in_flight", Limit: 5})
		if err != nil || len(flows.Flows) != want {
			t.Errorf("flows of priority %d: %+v, %v; want %d", *priority, flows, err, want)
		}
	}
	if r, err := c.Request(ctx, "x/y z"); err != nil || r.Ingress != "b" || r.State != "in_flight" || r.Why != nil {
		t.Errorf("the request: %+v, %v", r, err)
	}
	if r, err := c.Requests(ctx, api.Query{Offset: 1}); err != nil || len(r.Requests) != 0 || r.Total != 1 || r.Offset != 1 {
		t.Errorf("the second request: %+v, %v", r, err)
	}
	if _, err := c.Request(ctx, "other"); !errors.Is(err, api.ErrNotFound) || err.Error() != `no replica has a request "other": it was answered, or never came` {
		t.Errorf("an unknown request: %v", err)
	}
	if e, err := c.Endpoints(ctx, api.Query{Replica: true}); err != nil || len(e.Endpoints) != 1 {
		t.Errorf("endpoints: %+v, %v", e, err)
	}
	if r, err := c.Replicas(ctx, api.Query{}); err != nil || r.Total != 2 {
		t.Errorf("replicas: %+v, %v", r, err)
	}
	if s, err := c.Shards(ctx, api.Query{}); err != nil || len(s.Shards) != 256 || s.Shards[0].Owner != "a" {
		t.Errorf("shards: %v, %v", s, err)
	}
	if s, err := c.Config(ctx, api.Query{}); err != nil || s.YAML == "" || len(s.Replicas) != 2 {
		t.Errorf("configuration: %v, %v", s, err)
	}
	m.Note(api.LedgerWiped, api.Severe, "ledger", "gone")
	if e, err := c.Events(ctx, api.Query{Kind: api.LedgerWiped}); err != nil || len(e.Events) != 1 || e.Events[0].Replicas[0] != "a" {
		t.Errorf("events: %v, %v", e, err)
	}
	now := time.Now()
	m.history.add(&api.Sample{At: now.Add(-time.Minute)})
	m.history.add(&api.Sample{At: now})
	if h, err := c.History(ctx, api.Query{Since: now.Add(-time.Second)}); err != nil || len(h.Samples) != 1 {
		t.Errorf("history: %v, %v", h, err)
	}
	if _, err := c.Flows(ctx, api.Query{Sort: "nonsense"}); !errors.Is(err, api.ErrRefused) {
		t.Errorf("a wrong order: %v", err)
	}
	c.Token = "guess"
	if _, err := c.Pool(ctx, api.Query{}); !errors.Is(err, api.ErrToken) {
		t.Errorf("a wrong token: %v", err)
	}
}

// TestClientTellsFailuresApart wants what a replica cannot answer now to be no refusal, and what
// is no replica to be called so.
func TestClientTellsFailuresApart(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   error
		says   string
	}{
		{http.StatusServiceUnavailable, `{"error": "ask again"}`, api.ErrUnavailable, "the replica cannot answer: ask again"},
		{http.StatusGatewayTimeout, `{"error": "not in time"}`, api.ErrUnavailable, "the replica cannot answer: not in time"},
		{http.StatusConflict, `{"error": "not now"}`, api.ErrRefused, "the replica refuses with status 409: not now"},
		{http.StatusNotFound, `{"error": "there is no pool"}`, api.ErrNotFound, "there is no pool"},
		{http.StatusNotFound, "404 page not found", nil, "does not answer as a replica's admin address: status 404"},
		{http.StatusBadGateway, "<html>", nil, "does not answer as a replica's admin address: status 502"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		_, err := (&api.Client{Address: server.URL, HTTP: server.Client()}).Pool(t.Context(), api.Query{})
		server.Client().CloseIdleConnections()
		server.Close()
		if err == nil || !strings.HasSuffix(err.Error(), c.says) || c.want != nil && !errors.Is(err, c.want) || c.want == nil && (errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrRefused)) {
			t.Errorf("status %d, %s: %v", c.status, c.body, err)
		}
	}
}

// TestLateAnswers wants a replica that does not find its own part in time to say so by a status
// of its own.
func TestLateAnswers(t *testing.T) {
	m := newFleet(t, 1, 1).replicas["a"]
	m.cfg.Patience = time.Nanosecond
	var late api.Error
	if m.get(t, "/v1/pool", http.StatusGatewayTimeout, &late); !strings.Contains(late.Message, "did not come in time") {
		t.Errorf("%q", late.Message)
	}
}
