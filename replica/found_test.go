package replica_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/rewrites"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/replica"
)

// found are InferencePools that a test says there are, all of one model server.
type found struct {
	url   string
	pools chan []kubernetes.Found
}

// startFound runs a replica that has InferencePools beside its file's pools, at first none.
func startFound(t *testing.T, file string, server *servers) (*running, *found) {
	t.Helper()
	f := &found{url: server.URL, pools: make(chan []kubernetes.Found, 1)}
	f.pools <- nil
	run := func(ctx context.Context, load replica.Load, log *zap.Logger) error {
		return replica.RunFinding(ctx, load, f, log)
	}
	return startBy(t, run, file, map[string]string{"upstream": "", "max-concurrency": "", "inference-pools": "models/"}), f
}

// are has there be InferencePools of these names, each for the model of its name.
func (f *found) are(names ...string) {
	var pools []kubernetes.Found
	for _, name := range names {
		pools = append(pools, kubernetes.Found{Namespace: "models", Name: name, Models: []string{name}})
	}
	f.pools <- pools
}

func (f *found) Run(ctx context.Context, update func([]kubernetes.Found)) {
	for {
		select {
		case pools := <-f.pools:
			update(pools)
		case <-ctx.Done():
			return
		}
	}
}

func (f *found) Source(string, string, func(map[string]int), func([]rewrites.Rule)) endpoints.Source {
	source, err := endpoints.NewStatic(f.url)
	if err != nil {
		panic(err) // it is a test server's
	}
	return source
}

// refused reports whether a replica says everywhere that these parts of a reason keep its
// configuration from being in effect as a whole, and not those; no part for one that is whole.
func (r *running) refused(t *testing.T, parts []string, not string) bool {
	t.Helper()
	gauge := `weir_config_last_reload_successful{inference_pool=""} 1`
	if len(parts) > 0 {
		gauge = `weir_config_last_reload_successful{inference_pool=""} 0`
	}
	return r.says(t, "/metrics", gauge) && r.says(t, "/v1/replicas?pool=llama", parts...) && r.says(t, "/v1/config?pool=llama", parts...) &&
		!r.says(t, "/v1/replicas?pool=llama", not) && !r.says(t, "/v1/config?pool=llama", not)
}

// TestRefusalsEndAlone has a file be refused while a pool cannot be opened: either is told until
// it is mended itself, in both orders.
func TestRefusalsEndAlone(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	redis := redistest.Start(t)
	store := "  store: {redis: " + redis.URL() + "}\n"
	file := filepath.Join(t.TempDir(), "weir.yaml")
	both := poolFile(llama, qwen, store)
	one := both[:strings.Index(both, "  - name: qwen")] + store
	write(t, file, one)
	r := start(t, file, several)
	const unopened, broken = `pool \"qwen\" could not be opened`, "flws"
	away := func() {
		redis.Kill()
		write(t, file, both)
		eventually(t, "qwen is said not to open", func() bool { return r.refused(t, []string{unopened}, broken) })
		write(t, file, both+"  flws: nonsense\n")
		eventually(t, "the file is refused, too", func() bool { return r.refused(t, []string{unopened, broken}, "nowhere") })
	}
	comes := func() {
		redis.Run()
		eventually(t, "qwen comes", func() bool {
			code, _ := r.post(t, "qwen-2", "a")
			return code == http.StatusOK
		})
	}
	eventually(t, "llama serves", func() bool { return r.refused(t, nil, "could not be opened") })
	away()
	comes()
	eventually(t, "the file alone is refused", func() bool { return r.refused(t, []string{broken}, unopened) })
	write(t, file, one)
	eventually(t, "all is in effect", func() bool { return r.refused(t, nil, broken) })
	eventually(t, "qwen is gone", func() bool { return r.logs.FilterMessage("the pool is gone").Len() > 0 })

	away()
	write(t, file, both)
	eventually(t, "qwen alone is refused", func() bool { return r.refused(t, []string{unopened}, broken) })
	comes()
	eventually(t, "all is in effect", func() bool { return r.refused(t, nil, unopened) })
}

// TestRefusalGoesWithItsPool deletes an InferencePool that could not be opened, while the file is
// refused, and not by a change of the file.
func TestRefusalGoesWithItsPool(t *testing.T) {
	t.Parallel() // it mostly waits
	llama, qwen := newServers(t), newServers(t)
	redis := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := poolFile(llama, qwen, "  store: {redis: "+redis.URL()+"}\n")
	write(t, file, text)
	r, pools := startFound(t, file, qwen)
	pools.are("phi")
	eventually(t, "phi serves", func() bool {
		code, _ := r.post(t, "phi", "a")
		return code == http.StatusOK
	})
	const unopened, broken = `pool \"mute\" could not be opened`, "flws"
	redis.Kill()
	pools.are("phi", "mute")
	eventually(t, "mute is said not to open", func() bool { return r.refused(t, []string{unopened}, broken) })
	pools.are("phi")
	eventually(t, "it is forgotten once it is deleted", func() bool { return r.refused(t, nil, unopened) })
	write(t, file, text+"  flws: nonsense\n")
	eventually(t, "the file is refused", func() bool { return r.refused(t, []string{broken}, unopened) })
	_, before := r.get(t, "/metrics")
	pools.are("phi", "mute")
	eventually(t, "both are told", func() bool { return r.refused(t, []string{unopened, broken}, "nowhere") })
	pools.are("phi")
	eventually(t, "the file alone is refused", func() bool { return r.refused(t, []string{broken}, unopened) })
	if _, after := r.get(t, "/metrics"); readAt(before) == "" || readAt(after) != readAt(before) {
		t.Errorf("the file is said to be read at %q, and at %q once pools came and went", readAt(before), readAt(after))
	}
}

// readAt is the line of metrics that says when the configuration was read.
func readAt(metrics string) string {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "weir_config_last_reload_success_timestamp_seconds{") {
			return line
		}
	}
	return ""
}

// TestFoundPoolHasWhatHolds changes what takes a restart, together with a limit: a pool that is
// found afterwards is as those that were found before.
func TestFoundPoolHasWhatHolds(t *testing.T) {
	t.Parallel() // it mostly waits
	server := newServers(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	text := func(interval, weight, limit string) string {
		return config.Empty + "plugins: [{type: token-load-scorer, parameters: {queueThresholdTokens: 1000}}, {type: concurrency-detector, parameters: {maxConcurrency: " + limit + "}}]\n" +
			"flowControl: {saturationDetector: {pluginRef: concurrency-detector}}\nschedulingProfiles: [{name: default, plugins: [{pluginRef: token-load-scorer, weight: " + weight + "}]}]\n" +
			"weir: {metrics: {interval: " + interval + "}}\n"
	}
	write(t, file, text("70ms", "7.5", "4"))
	r, pools := startFound(t, file, server)
	pools.are("before")
	limit := func(pool, want string) {
		t.Helper()
		eventually(t, pool+" has a limit of "+want, func() bool { return r.says(t, "/v1/pool?pool="+pool, `"limit": `+want) })
	}
	limit("before", "4")
	write(t, file, text("90ms", "3.5", "5"))
	limit("before", "5")
	pools.are("before", "after")
	limit("after", "5")
	var shown string
	eventually(t, "the configuration names both", func() bool {
		_, shown = r.get(t, "/v1/config?pool=after")
		return strings.Contains(shown, "models/before") && strings.Contains(shown, "models/after")
	})
	if strings.Count(shown, "interval: 70ms") != 3 || strings.Contains(shown, "interval: 90ms") || strings.Count(shown, "weight: 7.5") != 3 || strings.Contains(shown, "weight: 3.5") {
		t.Errorf("the configuration is shown as %s", shown)
	}
	write(t, file, text("70ms", "7.5", "6"))
	limit("after", "6")
	if n := r.logs.FilterMessageSnippet("needs a restart").Len(); n != 1 {
		t.Errorf("a restart is said %d times to be needed; want 1, once the file is as it was", n)
	}
}
