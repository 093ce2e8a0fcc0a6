package proxy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/internal/freeport"
)

func TestForwards(t *testing.T) {
	r := rig.New(t, 4, rig.ModelServer(t))
	res, body := r.Post(t, "/v1/chat/completions", rig.Chat, "x-llm-d-inference-fairness-id", "tenant")
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"completion_tokens":5`) {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	res, err := r.Client.Get(r.URL + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("/v1/models: %d", res.StatusCode)
	}
	if f := r.Settled(t, "tenant"); f.ServedRequests != 1 || f.ServedTokens < 6 {
		t.Errorf("the flow's figures: %+v", f)
	}
}

func TestStripsControlHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	r := rig.New(t, 1, rig.Headers(t, got))
	r.Post(t, "/v1/completions", rig.Chat, "x-gateway-inference-fairness-id", "t", "x-llm-d-inference-objective", "urgent", "x-other", "kept")
	h := <-got
	if h.Get("x-gateway-inference-fairness-id") != "" || h.Get("x-llm-d-inference-objective") != "" || h.Get("x-other") != "kept" {
		t.Errorf("the model server got %v", h)
	}
	if n := r.Figure(t, "weir_flow_control_requests_total", "outcome", "Dispatched", "priority", "10"); n != 1 {
		t.Errorf("%v dispatched at the objective's priority, want 1", n)
	}
}

func TestAnotherEndpointIsTried(t *testing.T) {
	dead := "http://" + freeport.Address(t)
	r := rig.New(t, 4, dead, rig.ModelServer(t))
	for range 8 {
		if res, body := r.Post(t, "/v1/chat/completions", rig.Chat); res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, body)
		}
	}
	if pool := r.View(t).Pool; pool.Endpoints != 1 || pool.Limit != 4 {
		t.Errorf("%d endpoints and limit %d with one of two dead, want 1 and 4", pool.Endpoints, pool.Limit)
	}
}

func TestBadInput(t *testing.T) {
	dead := "http://" + freeport.Address(t)
	alive, lost := rig.New(t, 1, rig.ModelServer(t)), rig.New(t, 1, dead)
	for _, c := range []struct {
		name, path, body string
		rig              *rig.Rig
		headers          []string
		status           int
		code, reason     string
	}{
		{name: "malformed JSON", path: "/v1/chat/completions", body: `{"model":`, rig: alive, status: 400, code: "malformed_json"},
		{name: "not an object", path: "/v1/chat/completions", body: `[1]`, rig: alive, status: 400, code: "malformed_json"},
		{name: "no body", path: "/v1/completions", rig: alive, status: 400, code: "malformed_json"},
		{name: "no model", path: "/v1/embeddings", body: `{"input":"x"}`, rig: alive, status: 400, code: "model_required"},
		{name: "body over the limit", path: "/v1/completions", body: strings.Repeat("x", 1<<17), rig: alive, status: 413, code: "body_too_large"},
		{name: "unknown path", path: "/metrics", body: "{}", rig: alive, status: 404, code: "unknown_path"},
		{name: "long flow id", path: "/v1/completions", body: rig.Chat, rig: alive, headers: []string{headers.Flow[0], strings.Repeat("x", 300)}, status: 400, code: "bad_flow_id"},
		{name: "flow id with a space", path: "/v1/completions", body: rig.Chat, rig: alive, headers: []string{headers.Flow[1], "a b"}, status: 400, code: "bad_flow_id"},
		{name: "upstream that is not there", path: "/v1/completions", body: rig.Chat, rig: lost, status: 503, code: "upstream_unreachable", reason: "rejected-no-endpoints"},
		{name: "and then none to wait for", path: "/v1/completions", body: rig.Chat, rig: lost, status: 503, code: "no_endpoints", reason: "rejected-no-endpoints"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := c.rig.Post(t, c.path, c.body, c.headers...)
			var answer struct {
				Error struct{ Message, Type, Code string }
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("%d %s: %v", res.StatusCode, body, err)
			}
			if res.StatusCode != c.status || answer.Error.Code != c.code || answer.Error.Message == "" || answer.Error.Type == "" {
				t.Errorf("%d %s, want %d %s", res.StatusCode, body, c.status, c.code)
			}
			if got := res.Header.Get(refusal.ReasonHeader); got != c.reason {
				t.Errorf("dropped reason %q, want %q", got, c.reason)
			}
			if (res.StatusCode == 503) != (res.Header.Get("Retry-After") != "") {
				t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
			}
		})
	}
	if res, _ := alive.Post(t, "/v1/completions", rig.Chat); res.StatusCode != http.StatusOK {
		t.Errorf("a good request after the bad ones: %d", res.StatusCode)
	}
}

// TestUpgradesAreRefused wants a request to switch protocols to be answered here and
// now: what comes after it could be neither counted nor ended.
func TestUpgradesAreRefused(t *testing.T) {
	url, open := rig.RawServer(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := rig.New(t, 4, url)
	for range 6 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/v1/realtime", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "keep-alive, Upgrade")
		req.Header.Set("Upgrade", "websocket")
		res, err := r.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotImplemented || !strings.Contains(string(body), "upgrade_not_supported") {
			t.Errorf("%d %s, want 501", res.StatusCode, body)
		}
	}
	if n := open(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
	r.NothingHeld(t)
}

// TestOfferedUpgradesArePassedOver wants a request that merely offers HTTP/2, as some
// clients' every request does, to be served as if it did not.
func TestOfferedUpgradesArePassedOver(t *testing.T) {
	r := rig.New(t, 1, rig.ModelServer(t))
	res, body := r.Post(t, "/v1/chat/completions", rig.Chat, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
	if res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
