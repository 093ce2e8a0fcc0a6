package replica_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/redistest"
)

// servers are a pool's model servers, as one that counts what is in flight.
type servers struct {
	*httptest.Server
	inFlight, most, served atomic.Int64
	held                   atomic.Int64 // nanoseconds that a request takes
}

func newServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{}
	s.held.Store(int64(3 * time.Millisecond))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.inFlight.Add(1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(time.Duration(s.held.Load())):
		case <-r.Context().Done():
		}
		s.inFlight.Add(-1)
		s.served.Add(1)
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s
}

// poolFile is a file of two pools: llama takes 4 requests, in turns of the tenants, and qwen 2,
// the oldest first.
func poolFile(llama, qwen *servers, more string) string {
	return config.Empty + fmt.Sprintf(`
plugins:
- {name: four, type: concurrency-detector, parameters: {maxConcurrency: 4}}
- {name: two, type: concurrency-detector, parameters: {maxConcurrency: 2}}
flowControl:
  saturationDetector: {pluginRef: four}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  pools:
  - {name: llama, models: [llama-3], endpoints: [{url: %q}]}
  - name: qwen
    models: [qwen-2, "qwen-*"]
    endpoints: [{url: %q}]
    flowControl:
      saturationDetector: {pluginRef: two}
      defaultPriorityBand: {fairnessPolicyRef: global-strict-fairness-policy}
%s`, llama.URL, qwen.URL, more)
}

var several = map[string]string{"upstream": "", "max-concurrency": ""}

// post returns the status of a request for a model, and what was answered.
func (r *running) post(t testing.TB, model, flow string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"`+model+`","prompt":"hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("x-llm-d-inference-fairness-id", flow)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// get returns what the admin address answers.
func (r *running) get(t testing.TB, path string) (int, string) {
	t.Helper()
	res, err := http.Get(r.admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// load has callers of two tenants ask each replica for each model until it is stopped, and
// returns how many were answered to each tenant of each model.
func load(t *testing.T, replicas []*running, callers int) (stop func() map[string]int64) {
	t.Helper()
	var done atomic.Bool
	var running sync.WaitGroup
	counts := make(map[string]*atomic.Int64)
	for _, model := range []string{"llama-3", "qwen-7"} {
		for _, flow := range []string{"a", "b"} {
			n := new(atomic.Int64)
			counts[model+" "+flow] = n
			share := callers
			if flow == "b" {
				share *= 4 // it asks for more, and in turns gets as much
			}
			for i := range share * len(replicas) {
				running.Go(func() {
					for !done.Load() {
						if code, body := replicas[i%len(replicas)].post(t, model, flow); code != http.StatusOK {
							t.Errorf("%s of %s: %d %s", model, flow, code, body)
							return
						}
						if !done.Load() { // who asks for more has more under way at the end
							n.Add(1)
						}
					}
				})
			}
		}
	}
	return func() map[string]int64 {
		done.Store(true)
		running.Wait()
		all := make(map[string]int64)
		for name, n := range counts {
			all[name] = n.Load()
		}
		return all
	}
}

// underLoad has a file of two pools with limits of 4 and 2 keep them, and each of them its
// own policy, at full load.
func underLoad(t *testing.T, replicas []*running, llama, qwen *servers) {
	t.Helper()
	// Each tenant has requests that wait in the ledger also while as many as can stand in line.
	stop := load(t, replicas, 12/len(replicas))
	for part := range int64(8) { // how soon is not what is looked at
		eventually(t, "both pools serve", func() bool { return llama.served.Load() > 50*(part+1) && qwen.served.Load() > 25*(part+1) })
	}
	counts := stop()
	if most := llama.most.Load(); most != 4 {
		t.Errorf("%d requests were in flight at llama's servers, want its limit of 4", most)
	}
	if most := qwen.most.Load(); most != 2 {
		t.Errorf("%d requests were in flight at qwen's servers, want its limit of 2", most)
	}
	if a, b := counts["llama-3 a"], counts["llama-3 b"]; float64(a) < 0.8*float64(b) || float64(b) < 0.8*float64(a) {
		t.Errorf("in turns, tenants of llama got %d and %d", a, b)
	}
	if a, b := counts["qwen-7 a"], counts["qwen-7 b"]; float64(b) < 2*float64(a) {
		t.Errorf("the oldest first, tenants of qwen got %d and %d, though one of them asks four times as often", a, b)
	}
}

// TestPools has one process serve two pools with different policies, each with its own metrics
// and its own place in the admin API.
func TestPools(t *testing.T) {
	llama, qwen := newServers(t), newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, poolFile(llama, qwen, ""))
	r := start(t, file, several)
	underLoad(t, []*running{r}, llama, qwen)
	if code, body := r.post(t, "gpt-4", "a"); code != http.StatusNotFound || !strings.Contains(body, "model_not_found") {
		t.Errorf("another model: %d %s", code, body)
	}
	_, metrics := r.get(t, "/metrics")
	for _, want := range []string{
		`weir_flow_control_limit{inference_pool="llama"} 4`, `weir_flow_control_limit{inference_pool="qwen"} 2`,
		`weir_http_requests_total{code="404",inference_pool=""} 1`, `weir_config_last_reload_successful{inference_pool=""} 1`,
		`weir_shadow{inference_pool="qwen"} 0`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for path, want := range map[string]string{
		"/v1/pool?pool=llama": `"limit": 4`, "/v1/pool?pool=qwen": `"limit": 2`, "/v1/pools": `"name": "qwen"`, "/v1/endpoints?pool=qwen": qwen.URL,
	} {
		if code, body := r.get(t, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	if code, body := r.get(t, "/v1/pool"); code != http.StatusBadRequest || !strings.Contains(body, "llama, qwen") {
		t.Errorf("no pool: %d %s", code, body)
	}
	if code, body := r.get(t, "/v1/pool?pool=gpt"); code != http.StatusNotFound || !strings.Contains(body, "llama, qwen") {
		t.Errorf("an unknown pool: %d %s", code, body)
	}
}

// TestPoolsShareRedis has three replicas of two pools keep each pool's limit together.
func TestPoolsShareRedis(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, poolFile(llama, qwen, "  store: {redis: "+redistest.Start(t).URL()+"}\n"))
	var replicas []*running
	for i := range 3 {
		replicas = append(replicas, start(t, file, map[string]string{"upstream": "", "max-concurrency": "", "replica-id": fmt.Sprint("r", i)}))
	}
	underLoad(t, replicas, llama, qwen)
}

// TestPoolsComeAndGo takes a pool out of the file and puts others in, while a request of it
// is under way and one of another pool waits.
func TestPoolsComeAndGo(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen, phi := newServers(t), newServers(t), newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	both := poolFile(llama, qwen, "")
	write(t, file, both)
	r := start(t, file, several)
	llama.held.Store(int64(time.Second))
	qwen.held.Store(int64(2 * time.Second))
	type answered struct {
		model string
		code  int
	}
	answers := make(chan answered, 10)
	ask := func(model string, n int) {
		for range n {
			go func() {
				code, _ := r.post(t, model, "a")
				answers <- answered{model, code}
			}()
		}
	}
	ask("llama-3", 6)
	eventually(t, "two wait for llama", func() bool {
		_, body := r.get(t, "/v1/pool?pool=llama")
		return strings.Contains(body, `"queued": 2`)
	})
	ask("qwen-2", 1)
	eventually(t, "one is at qwen", func() bool { return qwen.inFlight.Load() == 1 })
	gone := both[:strings.Index(both, "  - name: qwen")]
	write(t, file, gone+fmt.Sprintf("  - {name: phi, models: [phi-4], endpoints: [{url: %q}]}\n", phi.URL))
	eventually(t, "the new pool serves", func() bool {
		code, _ := r.post(t, "phi-4", "a")
		return code == http.StatusOK
	})
	if code, _ := r.post(t, "qwen-2", "a"); code != http.StatusNotFound {
		t.Errorf("a model of the pool that went: %d, want 404", code)
	}
	for range 7 {
		if a := <-answers; a.code != http.StatusOK {
			t.Errorf("a request of %s that was under way was answered %d", a.model, a.code)
		}
	}
	eventually(t, "the pool is gone", func() bool {
		code, _ := r.get(t, "/v1/pool?pool=qwen")
		_, metrics := r.get(t, "/metrics")
		return code == http.StatusNotFound && !strings.Contains(metrics, `inference_pool="qwen"`)
	})
	write(t, file, both)
	eventually(t, "it is back", func() bool {
		code, _ := r.post(t, "qwen-2", "a")
		return code == http.StatusOK
	})
	write(t, file, both+"  maxBdoy: 1\n")
	eventually(t, "a broken file is refused", func() bool {
		_, metrics := r.get(t, "/metrics")
		return strings.Contains(metrics, `weir_config_last_reload_successful{inference_pool=""} 0`)
	})
	if code, _ := r.post(t, "qwen-2", "a"); code != http.StatusOK {
		t.Errorf("with a broken file: %d", code)
	}
	if logs := r.logs.FilterMessageSnippet("needs a restart").All(); len(logs) > 0 {
		t.Error("pools that come and go are said to need a restart")
	}
}

// TestPoolsShareTheFleet has three replicas of two pools gossip: each pool has its limit and its
// members, one of whom gives one of the pools up.
func TestPoolsShareTheFleet(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	dir, url := t.TempDir(), redistest.Start(t).URL()
	both := poolFile(llama, qwen, "  store: {redis: "+url+"}\n")
	var replicas []*running
	var files []string
	for i := range 3 {
		files = append(files, filepath.Join(dir, fmt.Sprint(i, ".yaml")))
		write(t, files[i], both)
		flags := map[string]string{"upstream": "", "max-concurrency": "", "replica-id": fmt.Sprint("r", i), "gossip": "127.0.0.1:0"}
		if i > 0 {
			flags["join"] = replicas[0].gossip
		}
		replicas = append(replicas, start(t, files[i], flags))
	}
	members := func(r *running, pool string) int {
		_, metrics := r.get(t, "/metrics")
		for line := range strings.Lines(metrics) {
			var n int
			if _, err := fmt.Sscanf(line, `weir_fleet_reachable{inference_pool="`+pool+`"} %d`, &n); err == nil {
				return n + 1
			}
		}
		return 0
	}
	all := func(pool string, want ...int) func() bool {
		return func() bool {
			for i, n := range want {
				if members(replicas[i], pool) != n {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "all are members of llama", all("llama", 3, 3, 3))
	eventually(t, "all are members of qwen", all("qwen", 3, 3, 3))
	underLoad(t, replicas, llama, qwen)
	forwarded := 0
	for _, r := range replicas {
		_, metrics := r.get(t, "/metrics")
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, `weir_fleet_tickets_forwarded_total{inference_pool="qwen"}`) && !strings.HasSuffix(line, " 0\n") {
				forwarded++
			}
		}
	}
	if forwarded == 0 {
		t.Error("no replica queued a request of qwen at its flow's owner")
	}
	if code, body := replicas[0].get(t, "/v1/replicas?pool=qwen"); code != http.StatusOK || strings.Count(body, `"answered": true`) != 3 {
		t.Errorf("not all answer for qwen: %d %s", code, body)
	}
	write(t, files[2], both[:strings.Index(both, "  - name: qwen")]+"  store: {redis: "+url+"}\n")
	eventually(t, "two are members of qwen", all("qwen", 2, 2, 0))
	if !all("llama", 3, 3, 3)() {
		t.Error("members of llama are lost where one gives qwen up")
	}
	for i, r := range replicas[:2] {
		for flow := range 20 { // whose shards are anybody's
			if code, body := r.post(t, "qwen-2", fmt.Sprint("flow-", flow)); code != http.StatusOK {
				t.Errorf("replica %d: %d %s", i, code, body)
			}
		}
	}
	if code, _ := replicas[2].post(t, "qwen-2", "a"); code != http.StatusNotFound {
		t.Errorf("the one that gave qwen up answers %d", code)
	}
}
