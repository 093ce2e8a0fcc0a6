package proxy_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/internal/freeport"
)

// TestPathsAreClean wants no path to reach a server that it could read as one outside the
// API, however it is written.
func TestPathsAreClean(t *testing.T) {
	paths := make(chan string, 10)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	for target, want := range map[string]int{
		"/v1/../metrics": 400, "/v1/%2e%2e/metrics": 400, "/v1/..%2fmetrics": 400, "/v1/%2E%2e%2Fmetrics": 400, "/v1/..%5cmetrics": 400, "/v1/%252e%252e/metrics": 400,
		"/v1/..;/metrics": 400, "/v1/./models": 400, "/v1//models": 400, "//v1/models": 400, "/v1/../../x/chat/completions": 400, "/inference/v1/../metrics": 400, "/v1/..": 400, "/v1/models%00": 400, "/v1/models%0d%0aX:y": 400, "/v1/%c0%ae%c0%ae/metrics": 400, "/v1/models/%ff": 400,
		"/v1/models": 200, "/v1/models/": 200, "/v1/models/org%2Fmodel": 200, "/v1/models/a..b": 200, "/v1/models/a%20b": 200, "/v1/models?x=../..": 200,
	} {
		c := r.Begin(t, "GET "+target+" HTTP/1.1\r\nHost: weir\r\n\r\n")
		if code, body := rig.AnswerOn(t, c); code != want && (want == 200 || code != 404) {
			t.Errorf("%s: %d %s, want %d", target, code, body, want)
		}
		_ = c.Close()
	}
	if n := len(paths); n != 6 {
		t.Errorf("%d requests reached the server, want 6", n)
	}
}

// TestForgedHeaders wants no header that gateways set to reach a server from outside.
func TestForgedHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	r := rig.New(t, 1, rig.Headers(t, got))
	forged := []string{
		"X-Gateway-Destination-Endpoint", "X-Gateway-Destination-Endpoint-Subset", "X-Gateway-Destination-Endpoint-Served", "X-Real-Ip",
		"X-Envoy-Original-Path", "x-envoy-external-address", "X-Llm-D-Request-Dropped-Reason",
	}
	headers := []string{"X-Request-Id", "kept"}
	for _, name := range forged {
		headers = append(headers, name, "forged")
	}
	r.Post(t, "/v1/completions", rig.Chat, headers...)
	h := <-got
	for _, name := range forged {
		if h.Get(name) != "" {
			t.Errorf("the server got %s", name)
		}
	}
	if h.Get("X-Request-Id") != "kept" {
		t.Error("another header is gone")
	}
}

// TestOddMethodsStayOutside wants requests that open tunnels, or have a server tell what it got, which
// includes where it is, to reach none.
func TestOddMethodsStayOutside(t *testing.T) {
	url, reached := rig.RawServer(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	r := rig.New(t, 1, url)
	for _, method := range []string{http.MethodConnect, http.MethodTrace} {
		c := r.Begin(t, method+" /v1/completions HTTP/1.1\r\nHost: weir\r\n\r\n")
		if status, body := rig.AnswerOn(t, c); status != http.StatusNotImplemented || !strings.Contains(body, "method_not_supported") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	if n := reached(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

// TestAddressesStayInside wants no answer to name a server, however it fails.
func TestAddressesStayInside(t *testing.T) {
	dead := freeport.Address(t)
	rude, _ := rig.RawServer(t, "nonsense\r\n\r\n")
	odd, _ := rig.RawServer(t, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	for _, url := range []string{"http://" + dead, rude, odd} {
		r := rig.New(t, 1, url)
		res, body := r.Post(t, "/v1/completions", rig.Chat)
		if res.StatusCode < 500 || strings.Contains(body, "127.0.0.1") || !json.Valid([]byte(body)) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	}
}

// TestWaysToSendAKey wants a key in each of the ways in which clients send one, and none of
// them to reach a server.
func TestWaysToSendAKey(t *testing.T) {
	got := make(chan http.Header, 1)
	r := rig.With(t, 1, nil, func(c *rig.Config) {
		c.Keys = flows.Keys{sha256.Sum256([]byte("secret")): "a"}
	}, rig.Headers(t, got))
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"Authorization", "Bearer secret", 200},
		{"Authorization", "bearer secret", 200},
		{"Authorization", "BEARER  secret", 200},
		{"X-Api-Key", "secret", 200},
		{"Authorization", "secret", 401},
		{"Authorization", "Basic secret", 401},
		{"X-Api-Key", "Bearer secret", 401},
	} {
		res, body := r.Post(t, "/v1/completions", rig.Chat, c.name, c.value)
		if res.StatusCode != c.status {
			t.Errorf("%s: %s: %d %s, want %d", c.name, c.value, res.StatusCode, body, c.status)
		}
		if res.StatusCode == 200 {
			if h := <-got; h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" {
				t.Errorf("%s: %s reached the server", c.name, c.value)
			}
		}
	}
}
