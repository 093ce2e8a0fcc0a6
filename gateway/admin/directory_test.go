package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/store/memory"
)

// asked is what a directory answers.
func (d *Directory) asked(t *testing.T, method, path string) (int, string) {
	t.Helper()
	body := ""
	if method == http.MethodPost {
		body = `{"flow": "x", "weight": 2, "for": "10m"}`
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// open has a directory tell of a pool in which things may be changed.
func (d *Directory) open(t *testing.T, pool string) {
	t.Helper()
	cfg := newFleet(t, 1, 1).replicas["a"].cfg
	cfg.Pool, cfg.Guarded, cfg.Overrides = pool, true, overrides.New(overrides.Config{Ledger: memory.New(memory.Config{})})
	s := d.Add(cfg)
	t.Cleanup(func() { d.Remove(s) })
}

// TestChangesNameTheirPool wants a change that names no pool to be refused by a replica for several,
// also while one alone is open, and to be done by one for one.
func TestChangesNameTheirPool(t *testing.T) {
	for _, several := range []bool{true, false} {
		d := NewDirectory("a", several, nil)
		d.open(t, "llama")
		for _, c := range []struct {
			method, path string
			done         int
		}{
			{http.MethodPost, "/v1/overrides", 200},
			{http.MethodDelete, "/v1/overrides?flow=x", 200},
			{http.MethodDelete, "/v1/requests/none", 404},
		} {
			want := c.done
			if several {
				want = http.StatusBadRequest
			}
			if code, text := d.asked(t, c.method, c.path); code != want || several && !strings.Contains(text, "which pool is meant? Add pool=NAME, or --pool NAME to a command; there are: llama") {
				t.Errorf("several %v, %s %s: %d %s, want %d", several, c.method, c.path, code, text, want)
			}
		}
		if code, text := d.asked(t, http.MethodPost, "/v1/overrides?pool=llama"); code != 200 {
			t.Errorf("several %v, of a pool by its name: %d %s", several, code, text)
		}
		if code, text := d.asked(t, http.MethodGet, "/v1/overrides"); code != 200 {
			t.Errorf("several %v, what only looks: %d %s", several, code, text)
		}
		_, err := d.reply(t.Context(), []byte(`{"ask": "evict", "id": "none"}`))
		if (err != nil) != several {
			t.Errorf("several %v, another replica's eviction: %v", several, err)
		}
	}
}

// TestDirectoryWithoutPools wants a replica whose pools have not come to be looked at, and what
// happened meanwhile to be told once one has.
func TestDirectoryWithoutPools(t *testing.T) {
	d := NewDirectory("a", true, nil)
	d.Note(api.ConfigRefused, api.Severe, "qwen", "the pool qwen could not be opened")
	events := func(path string) (all api.Events) {
		code, text := d.asked(t, http.MethodGet, path)
		if err := json.Unmarshal([]byte(text), &all); err != nil || code != 200 {
			t.Fatalf("%s: %d %s, %v", path, code, text, err)
		}
		return all
	}
	for path, want := range map[string]string{"/": "<title>Weir</title>", "/console/app.js": "import", "/v1/openapi.json": `"openapi"`, "/v1/pools": `"pools": []`} {
		if code, text := d.asked(t, http.MethodGet, path); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d, want %q in it: %.200s", path, code, want, text)
		}
	}
	for path, want := range map[string]int{"/v1/pool": 404, "/v1/flows?pool=llama": 404, "/nonsense": 404, "/v1/events?nonsense=1": 400} {
		if code, text := d.asked(t, http.MethodGet, path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
	if all := events("/v1/events"); all.Total != 1 || all.Fleet.Answered[0] != "a" || all.Events[0].Text != "the pool qwen could not be opened" {
		t.Errorf("without pools: %+v", all)
	}
	if all := events("/v1/events?kind=" + api.LedgerWiped); all.Total != 0 {
		t.Errorf("of another kind: %+v", all)
	}
	d.open(t, "llama")
	d.open(t, "qwen")
	for _, pool := range []string{"llama", "qwen"} {
		if all := events("/v1/events?pool=" + pool); all.Total != 1 {
			t.Errorf("of the pool %s: %+v", pool, all)
		}
	}
	if code, text := d.asked(t, http.MethodGet, "/v1/events"); code != http.StatusBadRequest {
		t.Errorf("of no pool, where there are two: %d %s", code, text)
	}
}

// TestNextInLineIsWhy wants a request that waits in no queue to be told when it goes.
func TestNextInLineIsWhy(t *testing.T) {
	limit := int64(4)
	e := &explaining{request: &api.Request{Flow: "a", State: "waiting", InLine: true, Ingress: "weir-1"}, own: &flow{}, pool: &api.Pool{Endpoints: 1, Limit: &limit, InFlight: 4}}
	if e.hold(); e.why.HeldBy != api.HeldByPool || e.why.Reason != "it is next: it goes when a request of weir-1 ends" {
		t.Errorf("%+v", e.why)
	}
}
