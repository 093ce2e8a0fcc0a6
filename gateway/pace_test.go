package gateway

import (
	"strconv"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/refusal"
)

// TestPace wants the time of a slot to cost what others' tokens did.
func TestPace(t *testing.T) {
	p := newPace()
	for range 2000 {
		p.learn(controller.Usage{InputTokens: 100, OutputTokens: 400}, 2*time.Second)
	}
	price := p.price(4 * time.Second)
	if price.InputTokens < 195 || price.InputTokens > 205 || price.OutputTokens < 790 || price.OutputTokens > 810 || !price.Known {
		t.Errorf("%+v for 4 s, where 2 s cost 100 and 400", price)
	}
}

// retryAfter is when a client is asked to try again, in seconds.
func retryAfter(t *testing.T, after time.Duration) int {
	t.Helper()
	headers, _ := (&refusal.Refusal{Status: 429, After: after}).Answer()
	seconds, err := strconv.Atoi(headers.Get("Retry-After"))
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

// TestRetryAfter wants clients to come back when there is room, as far as that is known.
func TestRetryAfter(t *testing.T) {
	var d drain
	if got := d.within(1, 10); got != 0 || retryAfter(t, got) != 1 {
		t.Errorf("before any request ended: %v, %d s", got, retryAfter(t, got))
	}
	for range 100 {
		d.learn(20 * time.Second)
	}
	for _, c := range []struct{ ended, inFlight, seconds int64 }{{1, 4, 5}, {1, 1000, 1}, {40, 4, 200}, {1, 0, 20}, {1 << 40, 1, 3600}} {
		if got := retryAfter(t, d.within(c.ended, c.inFlight)); int64(got) != c.seconds {
			t.Errorf("%d requests to end of %d in flight, at 20 s each: %d s, want %d", c.ended, c.inFlight, got, c.seconds)
		}
	}
}
