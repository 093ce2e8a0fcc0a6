package simulation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// TestFreshIDs has requests come under ids that were never seen, at up to five times what
// the pool takes: flows that always wait get their share of those that wait. If newcomers
// went before them, the test would tell.
func TestFreshIDs(t *testing.T) {
	ahead := Break{Statement: func(s *store.Statement) {
		for i := range s.Offers {
			if o := &s.Offers[i]; strings.HasPrefix(o.Flow, "fresh-") {
				o.Idle, o.Rank = false, 0
			}
		}
	}}
	for _, tc := range []struct {
		replicas int
		fresh    float64
		broken   Break
	}{
		{1, 1, Break{}},
		{3, 0.5, Break{}},
		{3, 2, Break{}},
		{3, 5, Break{}},
		{3, 2, ahead},
	} {
		cfg := Config{
			Seed: 7, Replicas: tc.replicas, Shards: 32, Limit: 8, Length: 6 * time.Second, Service: 80 * time.Millisecond,
			Fresh: tc.fresh, Break: tc.broken,
		}
		for i := range 2 {
			cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("steady-", i), Weight: 1, Clients: 24, Replicas: []int{i % tc.replicas}})
		}
		r, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d replicas, fresh ids at %g: %.2f of one flow's share at least", tc.replicas, tc.fresh, r.Share)
		if broken := tc.broken.Statement != nil; (r.Share < 0.9) != broken {
			t.Errorf("%d replicas, fresh ids at %g, broken %v: a flow that waits got %.2f of one's share", tc.replicas, tc.fresh, broken, r.Share)
		}
	}
}
