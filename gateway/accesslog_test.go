package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// logged is a line of the request log.
type logged struct {
	ID, Trace, Tenant, Objective, Model, Method, Path, Replica, Owner, Endpoint, Reason string

	Priority, Status                  int
	WaitedFor                         string   `json:"waited_for"`
	Waited                            *float64 `json:"waited_ms"`
	Duration                          float64  `json:"duration_ms"`
	FirstToken                        float64  `json:"first_token_ms"`
	TokensIn, TokensCached, TokensOut *int64
	Charge                            float64
}

// rigWithLog is a rig whose requests are all logged; lines ends the log and returns them
// by their ids.
func rigWithLog(t *testing.T, limit int, options []controller.Option, upstreams ...string) (r *rig.Rig, lines func() map[string]logged) {
	t.Helper()
	selection, err := accesslog.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := accesslog.New(&out, selection, zap.NewNop())
	t.Cleanup(log.Close)
	r = rig.With(t, limit, options, func(c *rig.Config) { c.AccessLog, c.Replica = log, "r1" }, upstreams...)
	return r, func() map[string]logged {
		r.Server.Close() // once all requests are over
		log.Close()
		byID := make(map[string]logged)
		for line := range strings.Lines(out.String()) {
			var l logged
			if err := json.Unmarshal([]byte(strings.ReplaceAll(line, "tokens_", "tokens")), &l); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if _, twice := byID[l.ID]; twice {
				t.Errorf("%s has two lines", l.ID)
			}
			byID[l.ID] = l
		}
		return byID
	}
}

// TestRequestLog wants a line for each request, however it ended, with the name that its
// answer had.
func TestRequestLog(t *testing.T) {
	r, lines := rigWithLog(t, 1, []controller.Option{controller.WithLimits(func(id string) shard.Limit {
		return shard.Limit{MaxInFlight: map[string]int64{"limited": 1}[id], Reject: true}
	})}, rig.ModelServer(t))
	want := make(map[string]logged)
	send := func(path, body string, as logged, headers ...string) {
		res, _ := r.Post(t, path, body, headers...)
		as.Method, as.Path, as.Status, as.Replica = http.MethodPost, path, res.StatusCode, "r1"
		want[res.Header.Get(gateway.RequestIDHeader)] = as
	}
	const path = "/v1/chat/completions"
	send(path, rig.Chat, logged{Tenant: "a", Model: "simulated"}, headers.Flow[0], "a")
	send(path, rig.Chat, logged{Tenant: "a", Model: "simulated", Objective: "urgent", Priority: 10}, headers.Flow[0], "a", headers.Objective[0], "urgent")
	send(path, rig.Chat, logged{Tenant: flows.Default, Model: "simulated", Trace: "4bf92f3577b34da6a3ce929d0e0e4736"}, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	send(path, strings.Replace(rig.Chat, "{", `{"stream":true,`, 1), logged{Tenant: "a", Model: "simulated"}, headers.Flow[0], "a")
	send("/v1/models", "", logged{Tenant: "a"}, headers.Flow[0], "a")
	send(path, "{", logged{Tenant: "a", Reason: "malformed_json"}, headers.Flow[0], "a")
	send("/elsewhere", "", logged{Reason: "unknown_path"})
	send(path, rig.Chat, logged{Reason: "bad_flow_id"}, headers.Flow[0], "a b")
	r.Hold(t, "limited", 1)
	send(path, rig.Chat, logged{Tenant: "limited", Model: "simulated", Reason: "flow_in_flight_limit", Owner: "replica"}, headers.Flow[0], "limited")

	got := lines()
	if len(want) != 9 || len(got) != 9 {
		t.Errorf("%d requests with their own ids, %d lines with theirs; want 9 of each", len(want), len(got))
	}
	for id, w := range want {
		g, there := got[id]
		if !there {
			t.Errorf("%+v has no line", w)
			continue
		}
		served := w.Reason == ""
		if served != (g.Endpoint != "") || served && (g.Waited == nil || g.Duration < *g.Waited || g.FirstToken <= 0 || g.Charge <= 0 || g.Owner == "") {
			t.Errorf("%+v is logged as %+v", w, g)
		}
		if counted := served && w.Model != ""; counted && (g.TokensIn == nil || *g.TokensIn <= 0 || g.TokensOut == nil || *g.TokensOut != 5) || !counted && g.TokensIn != nil {
			t.Errorf("%s %s: tokens %v, %v", w.Path, w.Reason, g.TokensIn, g.TokensOut)
		}
		g.Waited, g.Duration, g.FirstToken, g.Charge, g.TokensIn, g.TokensCached, g.TokensOut, g.WaitedFor = nil, 0, 0, 0, nil, nil, nil, ""
		if g.Endpoint = ""; served {
			g.Owner = ""
		}
		if w.ID, w.Owner = id, g.Owner; g != w {
			t.Errorf("logged as %+v, want %+v", g, w)
		}
	}
}

// TestRequestLogSaysWhatWasWaitedFor wants a request that finds the pool full to say so.
func TestRequestLogSaysWhatWasWaitedFor(t *testing.T) {
	r, lines := rigWithLog(t, 1, nil, rig.ModelServer(t))
	held := &controller.Request{Flow: policies.FlowKey{ID: "other"}}
	if _, err := r.Control.EnqueueAndWait(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		r.Post(t, "/v1/chat/completions", rig.Chat, gateway.RequestIDHeader, "1")
	}()
	r.Waiting(t, 1)
	time.Sleep(5 * time.Millisecond) // it waits for as long at least
	r.Control.Release(held, controller.Usage{})
	<-answered
	if got := lines()["1"]; got.WaitedFor != "pool" || got.Waited == nil || *got.Waited < 5 {
		t.Errorf("it is logged as %+v", got)
	}
}

// TestRequestLogOfBrokenAnswers wants answers that had begun and broke off to say why: their
// status alone looks as if all was well.
func TestRequestLogOfBrokenAnswers(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		if r.Header.Get(gateway.RequestIDHeader) == "server" {
			panic(http.ErrAbortHandler)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(upstream.Close)
	r, lines := rigWithLog(t, 4, nil, upstream.URL)
	for _, id := range []string{"server", "client"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(rig.Chat))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(gateway.RequestIDHeader, id)
		if res, err := r.Client.Do(req); err == nil {
			var b [64]byte
			for err == nil {
				if _, err = res.Body.Read(b[:]); id == "client" {
					cancel()
				}
			}
			_ = res.Body.Close()
		}
		cancel()
	}
	got := lines()
	if a, b := got["server"], got["client"]; a.Status != 200 || a.Reason != "upstream_failed" || b.Status != 200 || b.Reason != "client_gone" {
		t.Errorf("the server broke off: %+v\nthe client went away: %+v", a, b)
	}
}

// TestRequestLogOfEnvoy wants a line for each stream that had a request.
func TestRequestLogOfEnvoy(t *testing.T) {
	r, lines := rigWithLog(t, 4, nil, rig.ModelServer(t))
	head, body := rig.EnvoyHead("1"), rig.EnvoyBody(rig.Chat)
	for _, messages := range [][]*extproc.ProcessingRequest{
		{head, body, rig.EnvoyAnswer(200), rig.EnvoyAnswerBody(`{"usage":{"prompt_tokens":7,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":2}}}`)},
		{rig.EnvoyHead("2"), rig.EnvoyBody("{")},
		{rig.EnvoyHead("3"), body},
		{},
	} {
		if err := r.Envoy.Process(&rig.Tape{Ctx: t.Context(), Messages: messages}); err != nil {
			t.Fatal(err)
		}
	}
	got := lines()
	if len(got) != 3 {
		t.Errorf("%d lines", len(got))
	}
	if l := got["1"]; l.Status != 200 || l.Reason != "" || l.TokensIn == nil || *l.TokensIn != 7 || *l.TokensCached != 2 || *l.TokensOut != 3 || l.Path != "/v1/chat/completions" || l.Endpoint == "" {
		t.Errorf("served: %+v", l)
	}
	if l := got["2"]; l.Status != 400 || l.Reason != "malformed_json" {
		t.Errorf("refused: %+v", l)
	}
	if l := got["3"]; l.Status != refusal.StatusClientGone || l.Reason != "client_gone" {
		t.Errorf("gone before its answer: %+v", l)
	}
}
