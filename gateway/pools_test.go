package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/gateway/envoy"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// TestPoolByModel wants each request to go to the pool of its model, whichever kind of body
// names it, and an unknown model to be answered as OpenAI answers.
func TestPoolByModel(t *testing.T) {
	r := rig.NewPools(t, envoy.Config{})
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nqwen-2\r\n--b--\r\n"
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/completions", `{"prompt":"hi","model":"llama-3"}`, 200, "llama"},
		{"/v1/chat/completions", `{"model":"qwen-2","messages":[]}`, 200, "qwen"},
		{"/v1/completions", `{"model":"llama-3","prompt":"hi","model":"qwen-2"}`, 200, "qwen"}, // as servers read it
		{"/v1/rerank", ` {"model":"qwen-2","query":"q"}`, 200, "qwen"},
		{"/v1/audio/transcriptions", form, 200, "qwen"},
		{"/v1/completions", `{"model":"secret","prompt":"hi"}`, 404, `"code":"model_not_found"`},
		{"/v1/completions", `{"prompt":"hi"}`, 400, `"code":"model_required"`},
		{"/v1/rerank", `{"query":"q"}`, 400, `"code":"model_required"`},
		{"/v1/rerank", `--`, 400, `"code":"model_required"`},
		{"/v1/completions", `{`, 400, `"code":"malformed_json"`},
	} {
		res, err := http.Post(r.URL+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.path, c.body, res.StatusCode, body, c.status, c.want)
		}
		if c.status != 200 && (strings.Contains(string(body), "llama") || strings.Contains(string(body), "qwen")) {
			t.Errorf("an answer tells of other models: %s", body)
		}
	}
	for m, want := range map[prometheus.Collector]float64{r.Figures: 5, r.Counts["llama"]: 1, r.Counts["qwen"]: 4} {
		if all := rig.Figure(t, m, "weir_http_requests_total"); all != want {
			t.Errorf("%v requests are counted, want %v", all, want)
		}
	}
}

// TestModels wants the models of all pools to be listed.
func TestModels(t *testing.T) {
	r := rig.NewPools(t, envoy.Config{})
	get := func(path string, into any) int {
		t.Helper()
		res, err := http.Get(r.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // it was only read
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	var all struct {
		Object string
		Data   []struct{ ID, Object string }
	}
	if code := get("/v1/models", &all); code != 200 || all.Object != "list" || len(all.Data) != 2 || all.Data[0].ID != "llama-3" || all.Data[1].ID != "qwen-2" || all.Data[0].Object != "model" {
		t.Errorf("%d %+v", code, all)
	}
	var one struct{ ID, Object string }
	if code := get("/v1/models/qwen-2", &one); code != 200 || one.ID != "qwen-2" {
		t.Errorf("%d %+v", code, one)
	}
	var failed struct{ Error struct{ Code string } }
	if code := get("/v1/models/gpt", &failed); code != 404 || failed.Error.Code != "model_not_found" {
		t.Errorf("%d %+v", code, failed)
	}
}
