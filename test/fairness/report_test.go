package fairness

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// reported are the policies of a report by their types, and these in order.
func reported(t *testing.T) (all map[string]policies.FairnessPolicy, types []string) {
	all = fairPolicies(t)
	delete(all, fairness.WeightedRoundRobinType) // the same as without the word
	return all, slices.Sorted(maps.Keys(all))
}

// about is what a report says of a scenario before its table.
func about(s *Scenario, columns string) string {
	return fmt.Sprintf("\n## %s\n\n%s.\n\n%s", s.Name, strings.ToUpper(s.About[:1])+s.About[1:], columns)
}

// TestReport plays every scenario in real time over a Redis and writes the tables
// and plots to docs/fairness.
func TestReport(t *testing.T) {
	if os.Getenv("WEIR_REPORT") == "" {
		t.Skip("skipped: a report of some minutes; make fairness writes it")
	}
	const length = 5 * time.Second
	dir := filepath.Join("..", "..", "docs", "fairness")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t)
	all, types := reported(t)
	var text strings.Builder
	text.WriteString(head)
	for _, s := range Scenarios() {
		text.WriteString(about(&s, columns))
		for _, typ := range types {
			var single float64
			for _, replicas := range []int{1, 4} {
				var ledgers []store.Ledger
				for range replicas {
					l, err := redis.Open(t.Context(), redis.Config{URL: server.URL(), Pool: fmt.Sprint(s.Name, typ, replicas)})
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close() //nolint:errcheck // a test
					ledgers = append(ledgers, l)
				}
				res, err := Play(t.Context(), s, all[typ], ledgers, length)
				if err != nil {
					t.Fatal(err)
				}
				res.Policy = strings.TrimSuffix(typ, "-policy")
				if replicas == 1 {
					single = res.Gap
				}
				text.WriteString(row(res, single))
				t.Log(row(res, single))
				name := fmt.Sprintf("%s-%s-%d.svg", s.Name, res.Policy, replicas)
				if err := os.WriteFile(filepath.Join(dir, name), plot(res), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		fmt.Fprintf(&text, "\n![one replica](%[1]s-vtc-fairness-1.svg) ![four replicas](%[1]s-vtc-fairness-4.svg)\n", s.Name)
	}
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

const head = `# Proof of fairness

Arrival patterns against every fairness policy, on one replica and on four that
share a Redis, where one tenant comes in by all of them and the others by one each.
The pool takes 16 requests; a token of an answer takes 2 ms. "make fairness" plays
them, 5 s each, and writes this page; "go test ./test/fairness" plays the same in
simulated time and checks what is promised.

- gap: the largest difference of service for their weights, in weighted tokens
  (prompt 1, answer 2), that any two tenants got over any time in which both were
  backlogged, from 50 ms after the later of them began: an empty pool goes to whoever
  reaches the ledger first. VTC promises at most its bound; round robin counts requests and
  promises nothing of tokens, global strict promises nothing.
- Jain index: over the service of the tenants that are backlogged throughout, for
  their weights; 1 is even.
`

const columns = `| policy | replicas | gap | VTC's bound | gap to one replica's | gap in requests | Jain index | light tenant's p99 wait | requests |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

func row(r *Result, single float64) string {
	light := ""
	if r.LightP99 > 0 {
		light = r.LightP99.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("| %s | %d | %.0f | %.0f | %.2f | %.1f | %.3f | %s | %d |\n",
		r.Policy, r.Replicas, r.Gap, r.Bound, r.Gap/max(1, single), r.RequestGap, r.Index, light, r.Requests)
}
