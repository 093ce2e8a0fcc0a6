package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// BenchmarkFlows asks for a page of 10,000 flows over three replicas, as the console does
// every 2 s: it takes about 100 ms of one core, for all three replicas together.
func BenchmarkFlows(b *testing.B) {
	const flows = 10_000
	f := newFleet(b, 3, flows)
	for _, m := range f.replicas {
		for n := range flows {
			r := &controller.Request{Flow: policies.FlowKey{ID: fmt.Sprint("tenant-", n)}}
			if outcome, err := m.control.EnqueueAndWait(context.Background(), r); outcome != controller.Dispatched {
				b.Fatal(err)
			}
			m.control.Release(r, controller.Usage{InputTokens: int64(n), Known: true})
		}
	}
	for b.Loop() {
		w := httptest.NewRecorder()
		m := f.replicas["a"]
		m.shared = shared{}
		m.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/flows?limit=50&sort=-queued", nil))
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
