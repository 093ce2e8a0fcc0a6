package adversary

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

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
	f.Wait("everybody knows everybody", processes.Patience, func() bool { return f.Agree(n) })
	f.load, f.ctx = processes.StartLoad(t)
	for i := range 12 {
		f.honest = append(f.honest, fmt.Sprint("honest-", i))
	}
	return f
}

// flood fills the buffer by all replicas alike, and then has the honest tenants come, until
// they were served 250 times.
func (f *flooded) flood(clients, honest int) {
	for i := range clients {
		f.load.Tenant(f.ctx, "flood", 1, f.Replicas[i%len(f.Replicas)])
	}
	refused := func() int { return f.load.FailedOf("flood")[http.StatusTooManyRequests] }
	f.Wait("the buffer is full", processes.Patience, func() bool { return refused() > 0 })
	f.honest = f.honest[:honest]
	for i, id := range f.honest {
		f.load.Tenant(f.ctx, id, 1, f.Replicas[i%len(f.Replicas)])
	}
	before := refused()
	f.load.Next(250, f.honest...)
	if refused() < before+100 {
		f.T.Errorf("%d requests of the flood were refused meanwhile: the buffer was not full", refused()-before)
	}
}

// TestFloodFillsTheBuffer has one tenant keep the buffer at its cap: it is refused, and
// nobody else is, whichever replica's shards they are in.
func TestFloodFillsTheBuffer(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 4 s a fleet")
	}
	t.Parallel() // it mostly waits
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n, " replicas"), func(t *testing.T) {
			t.Parallel()
			f := startFlooded(t, n, `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: round-robin-fairness-policy}]
flowControl:
  defaultPriorityBand: {maxRequests: 200, fairnessPolicyRef: round-robin-fairness-policy}
`)
			f.flood(400, 12)
			f.wantHonestServed(t)
		})
	}
}

// TestFloodBelowAnotherBand has sheddable requests fill the buffer of all bands: no
// request of a higher band is refused for it.
func TestFloodBelowAnotherBand(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 4 s a fleet")
	}
	t.Parallel() // it mostly waits
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " replicas"), func(t *testing.T) {
			t.Parallel()
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
			f.wantHonestServed(t)
		})
	}
}

// wantHonestServed wants no honest request to have been refused.
func (f *flooded) wantHonestServed(t *testing.T) {
	t.Helper()
	for i, n := range f.load.Count(f.honest) {
		if failed := f.load.FailedOf(f.honest[i]); len(failed) > 0 {
			t.Errorf("%s was served %d times, and its other requests got %v", f.honest[i], n, failed)
		}
	}
	t.Logf("the flood was served %d times, and %d of it refused", f.load.Count([]string{"flood"})[0], f.load.FailedOf("flood")[http.StatusTooManyRequests])
}
