//go:build unix

package replica_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/redistest"
)

// TestManyPoolsAtRest has one process serve 200 pools of 5 endpoints each, on Redis, and wants
// them to cost little while nothing comes: 10% of a core and 1 GiB, and up to twice the time
// on a slow machine.
func TestManyPoolsAtRest(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	const pools, each, rest = 200, 5, 5 * time.Second
	server := newServers(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	var text strings.Builder
	fmt.Fprintf(&text, config.Empty+`
plugins: [{name: few, type: concurrency-detector, parameters: {maxConcurrency: 4}}]
flowControl: {saturationDetector: {pluginRef: few}}
weir:
  store: {redis: %q}
  pools:
  - {name: served, models: [m], endpoints: [{url: %q}]}
`, redistest.Start(t).URL(), server.URL)
	for i := range pools - 1 {
		fmt.Fprintf(&text, "  - {name: pool-%d, models: [model-%d], endpoints: [", i, i)
		for k := range each {
			fmt.Fprintf(&text, "{url: \"http://127.1.%d.%d:%s\"},", i, k+1, port)
		}
		text.WriteString("]}\n")
	}
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, text.String())
	r := start(t, file, several)
	eventually(t, "all pools have their ledgers", func() bool {
		_, metrics := r.get(t, "/metrics")
		return strings.Count(metrics, `state="connected"} 1`) == pools
	})
	if code, body := r.post(t, "m", "a"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	before := processorTime(t)
	time.Sleep(rest) // it is the time that is measured
	used := (processorTime(t) - before).Seconds() / rest.Seconds()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("at rest %d pools take %.1f%% of a core and %d MiB", pools, 100*used, m.Sys>>20)
	if used > 0.2 || m.Sys > 1<<30 {
		t.Errorf("%d pools at rest take %.1f%% of a core and %d MiB", pools, 100*used, m.Sys>>20)
	}
}

// processorTime is what this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
