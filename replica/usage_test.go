package replica_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
)

// TestUsage sends 1,000 requests of four tenants by two replicas, one of which ends: what
// each used is what the model server said, at any replica.
func TestUsage(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.Start(t)
	var served atomic.Int64
	type sums struct{ requests, in, cached, out int64 }
	var mu sync.Mutex
	said := make(map[string]*sums)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		n := served.Add(1)
		in, cached, out := 1+n%7, n%2, 1+n%5
		mu.Lock()
		defer mu.Unlock()
		_, model, _ := strings.Cut(string(body), `"user":"`)
		flow, _, _ := strings.Cut(model, `"`)
		if said[flow] == nil {
			said[flow] = &sums{}
		}
		s := said[flow]
		s.requests, s.in, s.cached, s.out = s.requests+1, s.in+in, s.cached+cached, s.out+out
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`, in, out, cached)
	}))
	t.Cleanup(server.Close)
	flags := func(id string) map[string]string {
		return map[string]string{"redis": redis.URL(), "upstream": server.URL, "replica-id": id, "gossip": "127.0.0.1:0"}
	}
	a, b := start(t, "", flags("a")), start(t, "", flags("b"))
	began := time.Now()
	var sending sync.WaitGroup
	for worker := range 8 {
		sending.Go(func() {
			for i := range 125 {
				flow := fmt.Sprint("tenant-", (worker+i)%4)
				to := []*running{a, b}[(worker+i/4)%2]
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hello there","user":"`+flow+`"}`))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("x-llm-d-inference-fairness-id", flow)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				if _, _ = io.Copy(io.Discard, res.Body); res.StatusCode != http.StatusOK {
					t.Errorf("status %d", res.StatusCode)
				}
				_ = res.Body.Close()
			}
		})
	}
	sending.Wait()
	client := &api.Client{Address: a.admin}
	flows, err := (&api.Client{Address: b.admin}).Flows(t.Context(), api.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.stop(); err != nil { // it hands over what it counted
		t.Fatal(err)
	}
	var used *api.UsageList
	eventually(t, "all is handed over", func() bool {
		used, err = client.Usage(t.Context(), api.Query{From: began, By: "flow"})
		return err == nil && used.Sum.Requests == served.Load()
	})
	if len(used.Usage) != 4 || used.Sum.Requests != 1000 {
		t.Fatalf("used is %+v", used)
	}
	for _, u := range used.Usage {
		if got, want := (sums{u.Requests, u.TokensIn, u.TokensCached, u.TokensOut}), *said[u.Flow]; got != want {
			t.Errorf("%s used %+v, the server says %+v", u.Flow, got, want)
		}
		if u.SlotSeconds <= 0 || u.Charged <= 0 {
			t.Errorf("%s held slots for %v s and was charged %v", u.Flow, u.SlotSeconds, u.Charged)
		}
	}
	for _, f := range flows.Flows {
		if f.Owner == "" && f.ServedTokens == 0 {
			continue
		}
		if f.TokensIn <= 0 || f.TokensOut <= 0 || f.TokensCached <= 0 {
			t.Errorf("the flow is %+v, want its tokens in, cached and out", f)
		}
	}
}
