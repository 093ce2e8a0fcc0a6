package headers

import (
	"net/http"
	"testing"
	"time"
)

// TestShorterTTL wants the wait that a request asks for, and none where it asks for
// nothing that can be.
func TestShorterTTL(t *testing.T) {
	for value, want := range map[string]time.Duration{"250ms": 250 * time.Millisecond, "1h": time.Hour, "": 0, "0s": 0, "-1s": 0, "5": 0, "soon": 0} {
		h := http.Header{}
		h.Set("x-llm-d-inference-ttl", value)
		if got := TTL(h); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
		Strip(h)
		if len(h) != 0 {
			t.Errorf("%v goes on to the model server", h)
		}
	}
}
