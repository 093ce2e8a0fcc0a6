package simulation

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirflow/weir/policies"
)

// Result is what a run measured.
type Result struct {
	Grants     int
	Peak       int     // the most requests at the model servers
	ServiceGap float64 // the largest between two flows of a band, in quiet times
}

// settled is how long after a fault the fleet must be itself again.
const settled = 5 * time.Second

// errInvariant wraps every broken invariant.
var errInvariant = errors.New("invariant broken")

// check checks what must hold after every event.
func (f *fleet) check() error {
	if len(f.log) > 0 {
		return fmt.Errorf("%w: %s", errInvariant, f.log[0])
	}
	f.peak = max(f.peak, len(f.flights))
	limit := f.cfg.Limit
	if f.down || f.cfg.Outage && f.now.Sub(f.faulty) < settled {
		// Each replica keeps to its share; what was in flight beyond it when
		// the ledger was lost runs out.
		limit += f.before
	}
	if int64(len(f.flights)) > limit {
		return fmt.Errorf("%w: capacity: %d requests at the model servers, the limit is %d", errInvariant, len(f.flights), f.cfg.Limit)
	}
	switch {
	case f.down:
		return nil // each replica is fair to what came in by it
	case f.dead > 0 || f.now.Sub(f.faulty) < settled:
		clear(f.service) // measured anew when the fault is over
		return nil
	}
	if gap, a, b := f.gap(); gap > f.gapBound() {
		return fmt.Errorf("%w: fairness: flow %v is %.1f requests ahead of flow %v", errInvariant, a, gap, b)
	}
	return nil
}

// gap is the largest difference of service between two backlogged flows of a
// band since the last fault.
func (f *fleet) gap() (gap float64, most, least policies.FlowKey) {
	for _, a := range f.cfg.Flows {
		for _, b := range f.cfg.Flows {
			ka, kb := policies.FlowKey{ID: a.ID, Priority: a.Priority}, policies.FlowKey{ID: b.ID, Priority: b.Priority}
			if a.Priority == b.Priority && f.service[ka]-f.service[kb] > gap {
				gap, most, least = f.service[ka]-f.service[kb], ka, kb
			}
		}
	}
	return gap, most, least
}

// gapBound is one maximal charge of each of the two flows, at both ends of the
// measured time, and the grants that may be on their way to a replica. It does
// not grow with the time measured, nor with the number of replicas.
func (f *fleet) gapBound() float64 { return 4 + float64(f.cfg.Limit) }

// result checks what must hold at the end.
func (f *fleet) result() (*Result, error) {
	r := &Result{Peak: f.peak}
	for _, outcome := range f.decided {
		if outcome == 1 {
			r.Grants++
		}
	}
	r.ServiceGap, _, _ = f.gap()
	// Work conserving: the load is closed and larger than the pool, so the
	// pool should have been full all along: requests take 50 ms on average.
	quiet := f.cfg.Length.Seconds()
	if f.cfg.Outage || f.cfg.Crash || f.cfg.Wipes > 0 {
		quiet /= 3
	}
	if want := int(0.7 * quiet / 0.050 * float64(f.cfg.Limit)); r.Grants < want {
		return r, fmt.Errorf("seed %d: %w: work conserving: %d grants, want at least %d", f.cfg.Seed, errInvariant, r.Grants, want)
	}
	for _, n := range f.nodes {
		if v := n.core.View(); n.alive && v.Waiting == 0 {
			return r, fmt.Errorf("seed %d: %w: no ticket lost: nothing waits at replica %d although its clients never rest", f.cfg.Seed, errInvariant, n.index)
		}
	}
	return r, nil
}
