package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/internal/rig"
)

var (
	uuid   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	timing = regexp.MustCompile(`^queue;dur=[0-9.]+, upstream;dur=[0-9.]+$`)
)

// TestAnswersAreNamed wants every answer to carry its request's id, whoever made the id and
// the answer, and the model server to get the same.
func TestAnswersAreNamed(t *testing.T) {
	var server string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server = r.Header.Get(gateway.RequestIDHeader)
		w.Header().Set(gateway.RequestIDHeader, "of-the-server")
		w.Header().Set("Server-Timing", "gpu;dur=1")
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 4, upstream.URL)
	for _, c := range []struct {
		name, path, body, id string
		kept, served         bool
	}{
		{"forwarded, no id", "/v1/chat/completions", rig.Chat, "", false, true},
		{"forwarded, the client's id", "/v1/chat/completions", rig.Chat, "order-66.a", true, true},
		{"forwarded, an id that is no word", "/v1/chat/completions", rig.Chat, "two words", false, true},
		{"forwarded, an id that is too long", "/v1/chat/completions", rig.Chat, strings.Repeat("x", gateway.MaxRequestID+1), false, true},
		{"refused for its body", "/v1/chat/completions", "{", "mine", true, false},
		{"refused for its path", "/elsewhere", "", "mine", true, false},
	} {
		server = ""
		headers := []string{}
		if c.id != "" {
			headers = append(headers, gateway.RequestIDHeader, c.id)
		}
		res, _ := r.Post(t, c.path, c.body, headers...)
		got := res.Header.Values(gateway.RequestIDHeader)
		if len(got) != 1 || c.kept && got[0] != c.id || !c.kept && !uuid.MatchString(got[0]) {
			t.Errorf("%s: the answer is named %q", c.name, got)
		}
		if replaced := c.id != "" && !c.kept; replaced != strings.Contains(res.Header.Get(gateway.WarningHeader), gateway.RequestIDHeader) {
			t.Errorf("%s: %s is %q", c.name, gateway.WarningHeader, res.Header.Get(gateway.WarningHeader))
		}
		if !c.served {
			if res.Header.Get(gateway.QueueDurationHeader) != "" {
				t.Errorf("%s: it never came to flow control and waited %s ms", c.name, res.Header.Get(gateway.QueueDurationHeader))
			}
			continue
		}
		if server != got[0] {
			t.Errorf("%s: the server knows it as %q, the client as %q", c.name, server, got[0])
		}
		if ms, err := strconv.Atoi(res.Header.Get(gateway.QueueDurationHeader)); err != nil || ms < 0 || ms > 60_000 {
			t.Errorf("%s: it waited %q ms", c.name, res.Header.Get(gateway.QueueDurationHeader))
		}
		if said := res.Header.Values("Server-Timing"); len(said) != 2 || said[0] != "gpu;dur=1" || !timing.MatchString(said[1]) {
			t.Errorf("%s: Server-Timing is %q", c.name, said)
		}
	}
}

// TestEnvoyIsToldTheSame wants the headers of TestAnswersAreNamed by external processing,
// on the request, on its answer and on a refusal.
func TestEnvoyIsToldTheSame(t *testing.T) {
	r := rig.New(t, 4, rig.ModelServer(t))
	served := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{rig.EnvoyHead("mine"), rig.EnvoyBody(rig.Chat), rig.EnvoyAnswer(http.StatusOK)}}
	if err := r.Envoy.Process(served); err != nil {
		t.Fatal(err)
	}
	set := served.Last.GetResponseHeaders().GetResponse().GetHeaderMutation().GetSetHeaders()
	if rig.HeaderIn(set, "x-request-id") != "mine" || !timing.MatchString(rig.HeaderIn(set, "server-timing")) || rig.HeaderIn(set, "x-llm-d-flow-queue-duration-ms") == "" {
		t.Errorf("the answer gets %v", set)
	}

	refused := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{rig.EnvoyHead("two words"), rig.EnvoyBody("{")}}
	if err := r.Envoy.Process(refused); err != nil {
		t.Fatal(err)
	}
	set = refused.Last.GetImmediateResponse().GetHeaders().GetSetHeaders()
	if !uuid.MatchString(rig.HeaderIn(set, "x-request-id")) || rig.HeaderIn(set, "x-weir-warning") == "" {
		t.Errorf("the refusal gets %v", set)
	}
}

// TestUndeclaredObjectives wants a name that nobody declared to be told to its client,
// counted, and logged once.
func TestUndeclaredObjectives(t *testing.T) {
	logs, seen := observer.New(zap.WarnLevel)
	r := rig.With(t, 4, nil, func(c *rig.Config) { c.Logger = zap.New(logs) }, rig.ModelServer(t))
	const header = "x-llm-d-inference-objective"
	for _, c := range []struct{ objective, warning string }{
		{"urgent", ""},
		{"", ""},
		{"urgnet", `the objective "urgnet" is not declared; the request goes at priority 0`},
		{"urgnet", `the objective "urgnet" is not declared; the request goes at priority 0`},
	} {
		headers := []string{}
		if c.objective != "" {
			headers = append(headers, header, c.objective)
		}
		if res, _ := r.Post(t, "/v1/chat/completions", rig.Chat, headers...); res.Header.Get(gateway.WarningHeader) != c.warning {
			t.Errorf("objective %q: %s is %q, want %q", c.objective, gateway.WarningHeader, res.Header.Get(gateway.WarningHeader), c.warning)
		}
	}
	if n := seen.FilterMessageSnippet("nobody declared").Len(); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	if n := r.Figure(t, "weir_requests_undeclared_objective_total"); n != 2 {
		t.Errorf("%v requests were counted, want 2", n)
	}
}
