package adversary

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// flooded is a fleet whose buffer a flood keeps full, and honest tenants with one
// client each.
type flooded struct {
	*processes.Cluster
	load   *processes.Load
	ctx    context.Context //nolint:containedctx // the life of the load
	honest []string
}

func startFlooded(t *testing.T, n int, config string) *flooded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &flooded{Cluster: processes.StartCluster(t, 0)}
	for i := range n {
		f.Add(fmt.Sprint("r", i), "--config", file)
	}
	f.Wait("everybody knows everybody", 10*time.Second, func() bool { return f.Agree(n) })
	f.load, f.ctx = processes.StartLoad(t)
	for i := range 12 {
		f.honest = append(f.honest, fmt.Sprint("honest-", i))
	}
	return f
}

// flood fills the buffer by all replicas alike, and then has the honest tenants come.
func (f *flooded) flood(clients, honest int) {
	for i := range clients {
		f.load.Tenant(f.ctx, "flood", 1, f.Replicas[i%len(f.Replicas)])
	}
	time.Sleep(time.Second)
	f.honest = f.honest[:honest]
	for i, id := range f.honest {
		f.load.Tenant(f.ctx, id, 1, f.Replicas[i%len(f.Replicas)])
	}
	time.Sleep(5 * time.Second)
}

// TestFloodFillsTheBuffer has one tenant keep the buffer at its cap: it is refused, and
// nobody else is, whichever replica's shards they are in.
func TestFloodFillsTheBuffer(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 6 s a fleet")
	}
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n, " replicas"), func(t *testing.T) {
			f := startFlooded(t, n, `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: round-robin-fairness-policy}]
flowControl:
  defaultPriorityBand: {maxRequests: 200, fairnessPolicyRef: round-robin-fairness-policy}
`)
			f.flood(400, 12)
			f.wantRefused(t)
		})
	}
}

// TestFloodBelowAnotherBand has sheddable requests fill the buffer of all bands: no
// request of a higher band is refused for it.
func TestFloodBelowAnotherBand(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 6 s a fleet")
	}
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " replicas"), func(t *testing.T) {
			config := `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: round-robin-fairness-policy}]
flowControl:
  maxRequests: 30
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
weir:
  flows:
    - {id: flood, priority: -10}
`
			for i := range 12 {
				config += fmt.Sprintf("    - {id: honest-%d, priority: 100}\n", i)
			}
			f := startFlooded(t, n, config)
			f.flood(120, 8)
			f.wantRefused(t)
		})
	}
}

// wantRefused wants requests of the flood to have been refused, and none of the honest.
func (f *flooded) wantRefused(t *testing.T) {
	t.Helper()
	served := 0
	for i, n := range f.load.Count(f.honest) {
		served += n
		if failed := f.load.FailedOf(f.honest[i]); len(failed) > 0 {
			t.Errorf("%s was served %d times, and its other requests got %v", f.honest[i], n, failed)
		}
	}
	of := f.load.FailedOf("flood")
	t.Logf("honest tenants were served %d times, the flood %d, and %d of it refused",
		served, f.load.Count([]string{"flood"})[0], of[http.StatusTooManyRequests])
	if served < 100 {
		t.Errorf("honest tenants were served %d times, want at least 100", served)
	}
	if of[http.StatusTooManyRequests] == 0 {
		t.Error("nothing of the flood was refused: the buffer was not full")
	}
}
