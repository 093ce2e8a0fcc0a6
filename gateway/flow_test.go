package gateway

import (
	"net/http"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/refusal"
)

// TestShorterTTL wants the wait that a request asks for, and none where it asks for
// nothing that can be.
func TestShorterTTL(t *testing.T) {
	for value, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "1h": time.Hour, "": 0, "0s": 0, "-1s": 0, "5": 0, "soon": 0} {
		h := http.Header{}
		h.Set("x-llm-d-inference-ttl", value)
		if got := shorterTTL(h); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
		stripControlHeaders(h)
		if len(h) != 0 {
			t.Errorf("%v goes on to the model server", h)
		}
	}
}

// TestRequestsShortenTheirWait wants a request whose header says so to give up early.
func TestRequestsShortenTheirWait(t *testing.T) {
	r := newRig(t, 1, newModelServer(t))
	slow := make(chan struct{})
	go func() {
		defer close(slow)
		r.post(t, "/v1/completions", `{"model":"m","prompt":"x","max_tokens":2000}`)
	}()
	for inFlight := 0; inFlight == 0; {
		v, err := r.control.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		inFlight = v.InFlight
	}
	res, body := r.post(t, "/v1/completions", `{"model":"m","prompt":"x"}`, "x-llm-d-inference-ttl", "20ms")
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get(refusal.ReasonHeader) != "rejected-ttl-expired" {
		t.Errorf("%d, %v: %s", res.StatusCode, res.Header, body)
	}
	<-slow
}
