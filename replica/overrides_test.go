package replica_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/redistest"
)

// slow is a model server whose requests end when they are let go.
func slow(t *testing.T) (url string, letGo func()) {
	t.Helper()
	gate := make(chan struct{}, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // or its end is not seen
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	return server.URL, func() { gate <- struct{}{} }
}

// operator is a client of its admin address that has the token.
func (r *running) operator() *api.Client { return &api.Client{Address: r.admin, Token: "a token"} }

// send makes a request of a flow and returns its status and its answer.
func (r *running) send(ctx context.Context, flow string, priority string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi"}`))
		if err != nil {
			answer <- err.Error()
			return
		}
		req.Header.Set("x-llm-d-inference-fairness-id", flow)
		req.Header.Set("x-llm-d-inference-objective", priority)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answer <- res.Status + " " + string(body)
	}()
	return answer
}

func ptr[T any](v T) *T { return &v }

// TestOverrides sets a flow's limit and drains an endpoint at one replica of two: both go by
// it, also after a restart and after Redis lost everything, until it is taken back.
func TestOverrides(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.Start(t)
	upstream, letGo := slow(t)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "a token")
	flags := func(id string) map[string]string {
		return map[string]string{"redis": redis.URL(), "upstream": upstream, "admin-token-file": token, "replica-id": id, "drain-timeout": "0s"}
	}
	a, b := start(t, "", flags("a")), start(t, "", flags("b"))

	if _, err := a.operator().SetOverride(t.Context(), &api.SetOverride{Flow: "acme", MaxInFlight: ptr(int64(1)), Weight: ptr(2.5), Why: "a test", For: "10m"}); err != nil {
		t.Fatal(err)
	}
	has := func(r *running, flow, endpoint string) bool {
		all, err := r.operator().Overrides(t.Context(), api.Query{Replica: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all.Overrides {
			if o.Flow == flow && (endpoint == "" || strings.HasSuffix(endpoint, o.Endpoint)) {
				return true
			}
		}
		return false
	}
	eventually(t, "the other replica goes by it", func() bool { return has(b, "acme", "") })
	first, second := b.send(t.Context(), "acme", ""), b.send(t.Context(), "acme", "")
	var f api.Flow
	eventually(t, "the second request waits for the limit that was set", func() bool {
		flows, err := b.operator().Flows(t.Context(), api.Query{Flow: "acme"})
		if err != nil || len(flows.Flows) != 1 {
			return false
		}
		f = flows.Flows[0]
		return f.InFlight == 1 && f.Queued == 1 && f.AtLimit
	})
	if f.Weight != 2.5 || f.Limit == nil || f.Limit.MaxInFlight != 1 {
		t.Errorf("the flow is %+v, want weight 2.5 and a limit of 1", f)
	}
	letGo()
	letGo()
	for _, answer := range []<-chan string{first, second} {
		if text := <-answer; !strings.HasPrefix(text, "200") {
			t.Error(text)
		}
	}

	redis.Kill()
	redis.Run()
	_ = a.stop()
	eventually(t, "who knows of it states it again", func() bool {
		a = start(t, "", flags("a"))
		if has(a, "acme", "") {
			return true
		}
		_ = a.stop()
		return false
	})

	if _, err := a.operator().TakeBack(t.Context(), "acme", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is taken back", func() bool { return !has(a, "acme", "") && !has(b, "acme", "") })
	if _, err := a.operator().TakeBack(t.Context(), "acme", ""); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("taken back again: %v", err)
	}

	if _, err := a.operator().SetOverride(t.Context(), &api.SetOverride{Endpoint: upstream, Drain: true, For: "10m"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody sends anything to the drained endpoint", func() bool {
		pool, err := b.operator().Pool(t.Context(), api.Query{})
		return err == nil && pool.Endpoints == 0 && has(b, "", upstream)
	})
	waits := b.send(t.Context(), "acme", "")
	if _, err := b.operator().TakeBack(t.Context(), "", upstream); err != nil {
		t.Fatal(err)
	}
	letGo()
	if text := <-waits; !strings.HasPrefix(text, "200") {
		t.Error(text)
	}
	if logged := a.logs.FilterMessage("an operator set something for a time").Len(); logged != 1 {
		t.Errorf("the second run of a logged %d overrides, want 1", logged)
	}
	events, err := b.operator().Events(t.Context(), api.Query{Kind: api.OverrideSet})
	if err != nil || len(events.Events) != 4 {
		t.Errorf("events are %+v, %v; want that both were set and taken back", events, err)
	}
}

// TestEvict ends a request that waits and one in flight that is sheddable, and none of
// another priority.
func TestEvict(t *testing.T) {
	upstream, letGo := slow(t)
	dir := t.TempDir()
	token, file := filepath.Join(dir, "token"), filepath.Join(dir, "weir.yaml")
	write(t, token, "a token")
	write(t, file, "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\nweir:\n  objectives:\n  - {name: batch, priority: -1}\n")
	r := start(t, file, map[string]string{"upstream": upstream, "max-concurrency": "1", "admin-token-file": token})
	one := func(state string) *api.Request {
		var found *api.Request
		eventually(t, "a request is "+state, func() bool {
			all, err := r.operator().Requests(t.Context(), api.Query{State: state})
			if err != nil || len(all.Requests) != 1 {
				return false
			}
			found = &all.Requests[0]
			return true
		})
		return found
	}
	wantEvicted := func(answer <-chan string) {
		t.Helper()
		if text := <-answer; !strings.HasPrefix(text, "503") || !strings.Contains(text, "evicted_by_operator") {
			t.Errorf("its client is answered %s", text)
		}
	}
	batch := r.send(t.Context(), "f", "batch")
	flying := one("in_flight")
	waiting := r.send(t.Context(), "f", "")
	if gone, err := r.operator().Evict(t.Context(), one("waiting").ID); err != nil || len(gone.Requests) != 1 {
		t.Fatalf("evict the one that waits: %+v, %v", gone, err)
	}
	wantEvicted(waiting)
	if gone, err := r.operator().Evict(t.Context(), flying.Ticket); err != nil || len(gone.Requests) != 1 {
		t.Fatalf("evict the sheddable one: %+v, %v", gone, err)
	}
	wantEvicted(batch)

	user := r.send(t.Context(), "f", "")
	if _, err := r.operator().Evict(t.Context(), one("in_flight").ID); !errors.Is(err, api.ErrRefused) {
		t.Errorf("evict one in flight at priority 0: %v", err)
	}
	letGo()
	if text := <-user; !strings.HasPrefix(text, "200") {
		t.Error(text)
	}
	if _, err := r.operator().Evict(t.Context(), "none"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("evict none: %v", err)
	}
	events, err := r.operator().Events(t.Context(), api.Query{Kind: api.RequestEvicted})
	if err != nil || len(events.Events) != 2 {
		t.Errorf("events are %+v, %v; want two evictions", events, err)
	}
}

// TestNothingIsChangedWithoutToken wants an address that asks for no token to change
// nothing.
func TestNothingIsChangedWithoutToken(t *testing.T) {
	r := start(t, "", nil)
	for what, act := range map[string]func() error{
		"set": func() error {
			_, err := r.operator().SetOverride(t.Context(), &api.SetOverride{Flow: "f", Weight: ptr(2.0), For: "1m"})
			return err
		},
		"take back": func() error { _, err := r.operator().TakeBack(t.Context(), "f", ""); return err },
		"evict":     func() error { _, err := r.operator().Evict(t.Context(), "x"); return err },
	} {
		if err := act(); !errors.Is(err, api.ErrRefused) || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v, want 403", what, err)
		}
	}
}

// TestPoolThatComesGoesByTheSameToken puts a token into the file together with another pool. The
// address asks for none until a restart, so that nothing is changed of that pool, either.
func TestPoolThatComesGoesByTheSameToken(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen, phi := newServers(t), newServers(t), newServers(t)
	file, token := filepath.Join(t.TempDir(), "weir.yaml"), filepath.Join(t.TempDir(), "token")
	write(t, token, "secret")
	write(t, file, poolFile(llama, qwen, ""))
	r := start(t, file, several)
	write(t, file, poolFile(llama, qwen, fmt.Sprintf("  - {name: phi, models: [phi-4], endpoints: [{url: %q}]}\n  adminTokenFile: %s\n", phi.URL, token)))
	eventually(t, "the new pool serves", func() bool {
		code, _ := r.post(t, "phi-4", "a")
		return code == http.StatusOK
	})
	for _, pool := range []string{"llama", "phi"} {
		res, err := http.Post(r.admin+"/v1/overrides?pool="+pool, "application/json", strings.NewReader(`{"flow":"f","weight":2,"for":"1m"}`))
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusForbidden {
			t.Errorf("without a token, setting a weight in pool %s: %d, want 403", pool, res.StatusCode)
		}
	}
}
