package shares

import (
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// TestMaximum keeps a group to its maximum: alone it has exactly that of the pool, whichever replicas
// and priorities its requests come in by, and a reload changes it. It holds after the ledger was
// lost, and what it leaves goes to others.
func TestMaximum(t *testing.T) {
	atMost := func(maximum string) string {
		return `
  groups: [{name: acme}, {name: acme/product, maximum: ` + maximum + `}, {name: zeta}]
  flows: [{id: acme/product/urgent, priority: 10}]
`
	}
	onFleets(t, atMost("50%"), func(f *fleet) {
		// reaches wants so many slots to be reached, and never passed. How close to them it is on
		// average depends on what else runs on the machine.
		reaches := func(what string, most int) {
			f.Helper()
			s := f.next(60 * times())
			c := f.curve()
			f.tell(what, "%d at most, %.2f on average", c.Most(s), c.Mean(s))
			if c.Most(s) != most || c.Mean(s) < 0.85*float64(most) {
				f.Errorf("%s: %d slots at most and %.2f on average, want %d", what, c.Most(s), c.Mean(s), most)
			}
		}
		f.clients("acme/product/a", 12, f.at(0))
		f.clients("acme/product/b", 12, f.at(1))
		f.clients("acme/product/urgent", 2, f.at(2))
		f.next(50)
		reaches("a maximum of 50%, alone: slots", 4)
		shares, err := processes.Get[api.Shares](f.at(2), "/v1/shares")
		if err != nil || !slices.ContainsFunc(shares.Groups, func(g api.GroupShare) bool {
			return g.Group == "acme/product" && g.Maximum != nil && *g.Maximum == 4 && g.InFlightOfAll <= 4
		}) {
			f.Errorf("/v1/shares does not have the maximum of 4: %+v, %v", shares.Groups, err)
		}
		f.redis.Kill()
		f.redis.Run()
		f.cluster().Wait("all have the ledger again", processes.Patience, f.cluster().Connected)
		f.next(50)
		reaches("the same, after Redis started empty", 4)
		f.reload(atMost("2"))
		f.cluster().Wait("there are no more than 2", processes.Patience, func() bool {
			return f.curve().Most(Span{f.now() - 50*time.Millisecond, f.now()}) <= 2
		})
		reaches("a maximum of 2, by a reload", 2)
		f.clients("zeta/z", 20, f.at(0))
		f.next(50)
		reaches("the same, beside a group that wants the rest", slots)
	})
}
