package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/headers"
)

// TestUncountedRequestsCostTheirTime wants a request whose tokens nobody counts to cost what
// its slot's time would have had others' cost, and its bytes at least.
func TestUncountedRequestsCostTheirTime(t *testing.T) {
	p := newPace()
	for range 2000 {
		p.learn(controller.Usage{InputTokens: 100, OutputTokens: 400}, 2*time.Second)
	}
	price := p.price(4 * time.Second)
	if price.InputTokens < 195 || price.InputTokens > 205 || price.OutputTokens < 790 || price.OutputTokens > 810 || !price.Known {
		t.Errorf("%+v for 4 s, where 2 s cost 100 and 400", price)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(w, `{"text":"x"}`)
	}))
	t.Cleanup(upstream.Close)
	r := newRig(t, 1, upstream.URL)
	r.pool.pace = p
	r.post(t, "/v1/rerank", `{"documents":"`+strings.Repeat("x", 4000)+`"}`, headers.Flow[0], "a")
	if f := r.settled(t, "a"); f.ServedTokens < 1000+20 || f.ServedTokens > 1000+400 {
		t.Errorf("%+v, want 1,000 tokens for the bytes and at least 20 for the time", f)
	}
}
