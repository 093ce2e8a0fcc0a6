package ordering_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
)

// TestOrders says of each policy in which order it serves four requests.
func TestOrders(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	items := map[string]*policytest.Item{
		"first-long":   {At: at, Until: at.Add(60 * time.Second), Input: 1000, Output: 1000},
		"second-soon":  {At: at.Add(time.Second), Until: at.Add(5 * time.Second), TTFT: 10 * time.Second, Input: 500},
		"third-urgent": {At: at.Add(2 * time.Second), TTFT: 200 * time.Millisecond, Input: 100},
		"fourth-short": {At: at.Add(3 * time.Second), Until: at.Add(63 * time.Second), Input: 1},
		"late-short":   {At: at.Add(30 * time.Second), Until: at.Add(90 * time.Second), Input: 1},
	}
	for typ, want := range map[string]string{
		"fcfs-ordering-policy":               "first-long second-soon third-urgent fourth-short late-short",
		"edf-ordering-policy":                "second-soon first-long fourth-short late-short third-urgent",
		"slo-deadline-ordering-policy":       "third-urgent second-soon first-long fourth-short late-short",
		"shortest-job-first-ordering-policy": "third-urgent fourth-short second-soon first-long late-short",
	} {
		p, err := builtin.Registry().New(typ, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		o := p.(policies.OrderingPolicy)
		policytest.Ordering(t, func() policies.OrderingPolicy { return o })
		var order []string
		for name := range items {
			order = append(order, name)
		}
		slices.SortFunc(order, func(a, b string) int {
			if o.Less(items[a], items[b]) {
				return -1
			}
			return 1
		})
		if got := strings.Join(order, " "); got != want {
			t.Errorf("%s: %s, want %s", typ, got, want)
		}
	}
}
