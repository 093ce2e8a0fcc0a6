package simulation

import (
	"fmt"
	"math"
	"time"

	"github.com/weirflow/weir/policies"
)

// freshID makes a request under an id that was never seen, at any replica, and plans the
// next.
func (f *fleet) freshID() {
	f.fresh++
	f.client(f.counts.tenant(Flow{ID: fmt.Sprint("fresh-", f.fresh), Weight: 1, Light: true, Once: true}), f.nodes[f.rng.IntN(len(f.nodes))])
	between := time.Duration(float64(f.cfg.Service) / (float64(f.cfg.Limit) * f.cfg.Fresh))
	f.after(between/2+f.upTo(between), "", f.freshID)
}

// shared notes a grant, and how many flows waited for it.
func (f *fleet) shared(t *tenant) {
	if f.fresh == 0 {
		return
	}
	waiting := map[policies.FlowKey]bool{t.key: true}
	for _, n := range f.nodes {
		for _, w := range n.waiting {
			waiting[w.tenant.key] = true
		}
	}
	f.fair += 1 / float64(len(waiting))
	if !t.flow.Light {
		f.had[t.key]++
	}
}

// leastShare is the least that a flow that always waits got, to what one of those that
// waited was due.
func (f *fleet) leastShare() float64 {
	least := math.Inf(1)
	for i := range f.cfg.Flows {
		if flow := &f.cfg.Flows[i]; !flow.Light && f.fair > 0 {
			least = min(least, f.had[policies.FlowKey{ID: flow.ID, Priority: flow.Priority}]/f.fair)
		}
	}
	return least
}
