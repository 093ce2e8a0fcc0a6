package replica_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/redistest"
)

// says reports whether what the admin address answers has all that is wanted.
func (r *running) says(t *testing.T, path string, want ...string) bool {
	t.Helper()
	_, body := r.get(t, path)
	for _, part := range want {
		if !strings.Contains(body, part) {
			return false
		}
	}
	return true
}

// TestKeysWaitForNothing takes a key out while a pool that is put back waits for the one of
// its name to end.
func TestKeysWaitForNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "keys.yaml")
	both := poolFile(llama, qwen, "  identity: {apiKeys: "+keys+"}\n")
	without := both[:strings.Index(both, "  - name: qwen")] + "  identity: {apiKeys: " + keys + "}\n"
	write(t, keys, keyOf("one", "a")+keyOf("two", "b"))
	write(t, file, both)
	r := start(t, file, several)
	ask := func(key, model string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"`+model+`","prompt":"hi"}`))
		if err != nil {
			return 0
		}
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	qwen.held.Store(int64(time.Minute))
	go ask("two", "qwen-2")
	eventually(t, "one is at qwen", func() bool { return qwen.inFlight.Load() == 1 })
	write(t, file, without)
	eventually(t, "qwen goes", func() bool { return r.logs.FilterMessageSnippet("the pool leaves").Len() > 0 })
	write(t, file, both)
	write(t, keys, keyOf("two", "b"))
	eventually(t, "a deleted key is refused", func() bool { return ask("one", "llama-3") == http.StatusUnauthorized })
	if code := ask("two", "qwen-2"); code != http.StatusServiceUnavailable || qwen.inFlight.Load() != 1 {
		t.Errorf("while the pool before it ends, one that is put back answers %d", code)
	}
}

// TestOnlyPoolIsReloaded changes a limit together with the name of the only pool.
func TestOnlyPoolIsReloaded(t *testing.T) {
	t.Parallel() // it mostly waits
	llama := newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := func(pool, limit string) string {
		return config.Empty + "plugins: [{type: concurrency-detector, parameters: {maxConcurrency: " + limit + "}}]\n" +
			"flowControl: {saturationDetector: {pluginRef: concurrency-detector}}\nweir: {pool: " + pool + "}\n"
	}
	write(t, file, text("first", "4"))
	r := start(t, file, map[string]string{"max-concurrency": "", "upstream": llama.URL})
	eventually(t, "the limit is 4", func() bool { return r.says(t, "/v1/pool", `"limit": 4`) })
	write(t, file, strings.Replace(text("first", "4"), "pool: first", "pool: first, groups: [{name: acme, weight: 2}], bands: [{priority: 1, guaranteed: 20%}], timeouts: {client: 20s}", 1))
	eventually(t, "groups are reloaded", func() bool { return r.logs.FilterMessage("configuration reloaded").Len() == 1 })
	if r.logs.FilterMessageSnippet("needs a restart").Len() > 0 {
		t.Error("groups are said to need a restart")
	}
	write(t, file, text("second", "5"))
	eventually(t, "the limit is 5", func() bool { return r.says(t, "/v1/pool", `"limit": 5`) })
	if r.logs.FilterMessageSnippet("needs a restart").Len() != 1 {
		t.Error("another name is not said to need a restart")
	}
	if warned := r.logs.FilterMessageSnippet("needs a restart").All(); len(warned) == 1 && fmt.Sprint(warned[0].ContextMap()["settings"]) != "[weir.pool]" {
		t.Errorf("what needs a restart is called %v", warned[0].ContextMap()["settings"])
	}
}

// TestFormIsKept refuses to go from several pools to one.
func TestFormIsKept(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, poolFile(llama, qwen, ""))
	r := start(t, file, several)
	write(t, file, config.Empty+"weir: {endpoints: [{url: "+llama.URL+"}]}\n")
	eventually(t, "one pool is refused", func() bool {
		return r.says(t, "/metrics", `weir_config_last_reload_successful{inference_pool=""} 0`) &&
			r.says(t, "/v1/events?pool=llama", "config_refused", "from one pool to several, or back, needs a restart")
	})
	if code, _ := r.post(t, "llama-3", "a"); code != http.StatusOK {
		t.Errorf("afterwards a request is answered %d", code)
	}
}

// TestPoolComesOnceRedisIsBack adds a pool and changes another while Redis is away. What
// Envoy's health checks are told follows.
func TestPoolComesOnceRedisIsBack(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	redis := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	both := poolFile(llama, qwen, "  store: {redis: "+redis.URL()+"}\n")
	write(t, file, both[:strings.Index(both, "  - name: qwen")]+"  store: {redis: "+redis.URL()+"}\n")
	r := start(t, file, map[string]string{"upstream": "", "max-concurrency": "", "ext-proc": "127.0.0.1:0"})
	conn, err := grpc.NewClient(r.logs.FilterMessage("serving").All()[0].ContextMap()["ext_proc"].(string), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test
	serves := func(pool string) bool {
		res, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: pool})
		return err == nil && res.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING
	}
	eventually(t, "llama is known", func() bool { return r.says(t, "/v1/pool?pool=llama", `"limit": 4`) })
	redis.Kill()
	write(t, file, strings.Replace(both, "name: llama,", "name: llama, shadow: true,", 1))
	eventually(t, "llama is changed", func() bool { return r.says(t, "/metrics", `weir_shadow{inference_pool="llama"} 1`) })
	eventually(t, "qwen is said not to open", func() bool { return r.says(t, "/v1/events?pool=llama", `pool \"qwen\" could not be opened`) })
	if code, body := r.post(t, "qwen-2", "a"); code != http.StatusServiceUnavailable || !strings.Contains(body, "pool_not_open") {
		t.Errorf("meanwhile a request of qwen is answered %d %s", code, body)
	}
	if serves("qwen") || !serves("llama") {
		t.Error("health checks are not told that llama alone serves")
	}
	redis.Run()
	eventually(t, "qwen comes", func() bool {
		code, _ := r.post(t, "qwen-2", "a")
		return code == http.StatusOK && serves("qwen")
	})
	eventually(t, "all is in effect", func() bool {
		return r.says(t, "/metrics", `weir_config_last_reload_successful{inference_pool=""} 1`)
	})
	write(t, file, strings.Replace(both, "name: qwen", "name: qwen-b", 1))
	eventually(t, "another takes its place", func() bool { return serves("qwen-b") && !serves("qwen") })
}

// TestPoolEndsItsRequests takes out a pool with a request that would not end: it is cut off,
// and what it used is counted.
func TestPoolEndsItsRequests(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	store := "  store: {redis: " + redistest.Start(t).URL() + "}\n"
	file := filepath.Join(t.TempDir(), "weir.yaml")
	both := poolFile(llama, qwen, store)
	write(t, file, both)
	r := start(t, file, map[string]string{"upstream": "", "max-concurrency": "", "drain-timeout": "1s"})
	qwen.held.Store(int64(time.Hour))
	answered := make(chan string, 1)
	go func() {
		code, body := r.post(t, "qwen-2", "a")
		answered <- fmt.Sprint(code, " ", body)
	}()
	eventually(t, "one is at qwen", func() bool { return qwen.inFlight.Load() == 1 })
	write(t, file, both[:strings.Index(both, "  - name: qwen")]+store)
	gone := func() bool { return r.logs.FilterMessage("the pool is gone").Len() > 0 }
	eventually(t, "the pool is gone", gone)
	select {
	case a := <-answered:
		if !strings.HasPrefix(a, "503 ") || !strings.Contains(a, "shutting_down") {
			t.Errorf("the request was answered %s", a)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the request outlives its pool")
	}
	write(t, file, both)
	eventually(t, "its usage is counted", func() bool { return r.says(t, "/v1/usage?pool=qwen", `"flow": "a"`) })
}

// TestShadowPoolAwaitsItsRequests takes out a pool in shadow while a request is in flight.
func TestShadowPoolAwaitsItsRequests(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	both := strings.Replace(poolFile(llama, qwen, ""), "- name: qwen", "- name: qwen\n    shadow: true", 1)
	write(t, file, both)
	r := start(t, file, map[string]string{"upstream": "", "max-concurrency": "", "drain-timeout": "30s"})
	qwen.held.Store(int64(4 * time.Second))
	answered := make(chan int, 1)
	go func() {
		code, _ := r.post(t, "qwen-2", "a")
		answered <- code
	}()
	eventually(t, "one is at qwen", func() bool { return qwen.inFlight.Load() == 1 })
	write(t, file, both[:strings.Index(both, "  - name: qwen")])
	eventually(t, "the pool is gone", func() bool { return r.logs.FilterMessage("the pool is gone").Len() > 0 })
	if qwen.inFlight.Load() != 0 {
		t.Error("the pool is gone, and its request in flight")
	}
	if code := <-answered; code != http.StatusOK {
		t.Errorf("the request was answered %d", code)
	}
}

// TestShowsWhatHolds changes what takes a restart, together with a limit: that is said at each
// reload, and what operators and the other replicas are told is what is in effect.
func TestShowsWhatHolds(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	for form, text := range map[string]func(interval, plugins, limit string) string{
		"one pool": func(interval, plugins, limit string) string {
			return config.Empty + "plugins: [{type: token-load-scorer, parameters: {queueThresholdTokens: 1000}}, {type: concurrency-detector, parameters: {maxConcurrency: " + limit + "}}]\n" +
				"flowControl: {saturationDetector: {pluginRef: concurrency-detector}}\nschedulingProfiles: [{name: default, plugins: [" + plugins + "]}]\n" +
				"weir: {pool: llama, endpoints: [{url: " + llama.URL + "}], metrics: {interval: " + interval + "}}\n"
		},
		"several": func(interval, plugins, limit string) string {
			both := poolFile(llama, qwen, "  metrics: {interval: "+interval+"}\n")
			return strings.Replace(both, "  - name: qwen", "  - name: qwen\n    schedulingProfiles: [{name: default, plugins: ["+plugins+"]}]", 1) + "# " + limit + "\n"
		},
	} {
		t.Run(form, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "weir.yaml")
			weighted := "{pluginRef: token-load-scorer, weight: 7.5}"
			write(t, file, text("70ms", weighted, "4"))
			flags := several
			if form == "one pool" {
				flags = map[string]string{"max-concurrency": "", "upstream": ""}
			}
			r := start(t, file, flags)
			shown := func() string {
				_, body := r.get(t, "/v1/config?pool=llama")
				return body
			}
			restart := func() int { return r.logs.FilterMessageSnippet("needs a restart").Len() }
			for n, limit := range []string{"5", "6"} {
				write(t, file, text("90ms", "{pluginRef: token-load-scorer, weight: 3.5}", limit))
				eventually(t, "it is reloaded", func() bool { return r.logs.FilterMessage("configuration reloaded").Len() == n+1 })
				if restart() != n+1 {
					t.Errorf("after %d reloads a restart is said %d times to be needed", n+1, restart())
				}
				if s := shown(); !strings.Contains(s, "70ms") || strings.Contains(s, "90ms") || !strings.Contains(s, "weight: 7.5") || strings.Contains(s, "weight: 3.5") || form == "one pool" && !strings.Contains(s, "maxConcurrency: "+limit) {
					t.Errorf("the configuration is shown as %s", s)
				}
			}
			write(t, file, text("70ms", weighted, "7"))
			eventually(t, "it is reloaded", func() bool { return r.logs.FilterMessage("configuration reloaded").Len() == 3 })
			if restart() != 2 {
				t.Error("a restart is said to be needed once the file is as it was")
			}
		})
	}
}
