package gateway_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
)

// refused is what a client sees of a refusal.
type refused struct {
	status                    int
	code, by, reason, message string
	retryAfter                int
}

func readRefusal(t *testing.T, status int, body string, header func(string) string) refused {
	t.Helper()
	var object struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &object); err != nil {
		t.Fatalf("%d %q: %v", status, body, err)
	}
	after, _ := strconv.Atoi(header("Retry-After"))
	return refused{status, object.Error.Code, header(refusal.ByHeader), header(refusal.ReasonHeader), object.Error.Message, after}
}

// byHTTP sends a request of the flow a.
func byHTTP(t *testing.T, r *rig.Rig) refused {
	t.Helper()
	res, body := r.Post(t, "/v1/chat/completions", rig.Chat, headers.Flow[0], "a")
	return readRefusal(t, res.StatusCode, body, res.Header.Get)
}

// byEnvoy does the same by external processing.
func byEnvoy(t *testing.T, r *rig.Rig) refused {
	t.Helper()
	p := &rig.Tape{Ctx: t.Context(), Messages: []*extproc.ProcessingRequest{rig.EnvoyHead("1", strings.ToLower(headers.Flow[0]), "a"), rig.EnvoyBody(rig.Chat)}}
	if err := r.Envoy.Process(p); err != nil {
		t.Fatal(err)
	}
	now := p.Last.GetImmediateResponse()
	return readRefusal(t, int(now.GetStatus().GetCode()), string(now.GetBody()), func(name string) string {
		return rig.HeaderIn(now.GetHeaders().GetSetHeaders(), strings.ToLower(name))
	})
}

// TestRefusalsSayWhy wants each cause to be told apart, by HTTP as by Envoy: what is to be
// mended depends on it.
func TestRefusalsSayWhy(t *testing.T) {
	limit := func(l shard.Limit) []controller.Option {
		return []controller.Option{controller.WithLimits(func(string) shard.Limit { l.Reject = true; return l })}
	}
	band := func(requests, bytes int64) []controller.Option {
		return []controller.Option{controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr"), MaxRequests: requests, MaxBytes: bytes})}
	}
	full := func(t *testing.T, r *rig.Rig) { r.Hold(t, "other", 1); r.Queue(t, "a", 1) }
	for _, c := range []struct {
		name    string
		options []controller.Option
		before  func(*testing.T, *rig.Rig)
		want    refused // of the message a part
	}{
		{
			"the flow's requests in flight", limit(shard.Limit{MaxInFlight: 1}),
			func(t *testing.T, r *rig.Rig) { r.Hold(t, "a", 1) },
			refused{429, "flow_in_flight_limit", "", "rejected-flow-limit", "its own limit of 1 request in flight", 1},
		},
		{
			"the flow's tokens", limit(shard.Limit{TokensPerMinute: 600}),
			func(t *testing.T, r *rig.Rig) { r.Hold(t, "a", 695) },
			refused{429, "flow_token_limit", "", "rejected-flow-limit", "its own limit of 600 tokens a minute; there is room in about ", 10},
		},
		{"the band's cap", band(1, 0), full, refused{429, "band_full", "", "rejected-saturated", "the queue of priority 0 is full", 1}},
		{
			"the cap over all bands",
			[]controller.Option{controller.WithCapacity(1, 0)},
			full,
			refused{429, "queue_full", "", "rejected-saturated", "the queue of all priorities is full", 1},
		},
		{"a body larger than the band", band(0, 10), nil, refused{413, "larger_than_queue", "", "rejected-saturated", "larger than all that may wait at priority 0", 0}},
		{
			"the time is up",
			[]controller.Option{controller.WithTTL(30*time.Millisecond, time.Second)},
			func(t *testing.T, r *rig.Rig) { r.Hold(t, "other", 1) },
			refused{429, "queue_timeout", "", "rejected-ttl-expired", "the request waited ", 1},
		},
		{
			"the replica ends", nil, func(_ *testing.T, r *rig.Rig) { r.Control.Close() },
			refused{503, "shutting_down", "", "rejected-shutting-down", "this replica is shutting down", 1},
		},
	} {
		for way, send := range map[string]func(*testing.T, *rig.Rig) refused{"HTTP": byHTTP, "Envoy": byEnvoy} {
			t.Run(c.name+" by "+way, func(t *testing.T) {
				r := rig.With(t, 1, c.options, nil, rig.ModelServer(t))
				if c.before != nil {
					c.before(t, r)
				}
				got, want := send(t, r), c.want
				want.by = want.code
				if !strings.Contains(got.message, want.message) {
					t.Errorf("it says %q, not %q", got.message, want.message)
				}
				if early := want.retryAfter - got.retryAfter; early >= 0 && early < 5 && want.retryAfter > 5 { // the machine took its time
					got.retryAfter = want.retryAfter
				}
				if got.message = want.message; got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

// TestDisplacedSaysWhy wants a request that waited, and lost its place to a flow that holds
// less of the queue, to be told so.
func TestDisplacedSaysWhy(t *testing.T) {
	r := rig.With(t, 1, []controller.Option{controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr"), MaxRequests: 2})}, nil, rig.ModelServer(t))
	r.Hold(t, "other", 1)
	r.Queue(t, "a", 1)
	answer := make(chan refused, 1)
	go func() { answer <- byHTTP(t, r) }()
	r.Waiting(t, 2)
	go func() {
		_, _ = r.Control.EnqueueAndWait(t.Context(), &controller.Request{Flow: policies.FlowKey{ID: "b"}})
	}()
	if got := <-answer; got.code != "queue_share" || got.by != "queue_share" || got.status != 429 || got.reason != "rejected-saturated" {
		t.Errorf("got %+v", got)
	}
}
