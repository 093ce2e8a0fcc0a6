package fairness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/store/memory"
)

// distances are how far the ledger is in the table of far ones.
var distances = []time.Duration{nearby, 50 * time.Millisecond, 210 * time.Millisecond, 450 * time.Millisecond}

// TestFarReport plays some patterns by ledgers further and further away, in simulated time, and writes
// the table to docs/fairness.
func TestFarReport(t *testing.T) {
	if os.Getenv("WEIR_REPORT") == "" {
		t.Skip("skipped: a report of a minute; make fairness writes it")
	}
	const length, replicas = time.Minute, 4
	all, types := reported(t)
	var text strings.Builder
	text.WriteString(farHead)
	for _, s := range Scenarios() {
		if !slices.Contains([]string{"lengths", "underuse", "bursts", "flood"}, s.Name) {
			continue
		}
		text.WriteString(about(&s, farColumns))
		for _, typ := range types {
			for _, away := range distances {
				synctest.Test(t, func(t *testing.T) {
					res, err := Play(t.Context(), s, all[typ], atDistance(memory.New(memory.Config{}), away, replicas), length)
					if err != nil {
						t.Fatal(err)
					}
					light := ""
					if res.LightP99 > 0 {
						light = res.LightP99.Round(time.Millisecond).String()
					}
					fmt.Fprintf(&text, "| %s | %v | %.0f | %.1f | %.3f | %s | %.1f%% |\n",
						strings.TrimSuffix(typ, "-policy"), away, res.Gap, res.RequestGap, res.Index, light, 100*res.Used(length))
				})
			}
		}
	}
	t.Log(text.String())
	if err := os.WriteFile(filepath.Join("..", "..", "docs", "fairness", "far.md"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

const farHead = `# Fairness beside a far ledger

Arrival patterns of [the report](README.md) on four replicas, each of which queues what comes in by it, with a ledger
so far away that a turn takes the round trip, a tenth more or less. The pool takes 16 requests; a token of an
answer takes 2 ms. "make fairness" plays them in simulated time, a minute each, and writes this page. Requests take 30
to 120 ms here, so that 450 ms is many of them: [measurements](../measurements.md) has loads of other lengths.

- gap: the largest difference of service for their weights, in weighted tokens (prompt 1, answer 2), that any two
  tenants got over any time in which both had requests waiting. What stands in line far from the ledger is a part
  of it ([the bound](../fairness.md#what-stands-in-line)), and so is what slot fairness charged the first requests
  too much, before it was known how long they take.
- light tenant's p99 wait: of the last 40 s.
- used: what part of the slots' time answers took.
`

const farColumns = `| policy | round trip | gap | gap in requests | Jain index | light tenant's p99 wait | used |
| --- | --- | --- | --- | --- | --- | --- |
`
