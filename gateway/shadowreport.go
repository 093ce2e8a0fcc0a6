package gateway

import (
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
)

// ShadowReport is what flow control would have done in the time for which it was last only
// played, beside what was done.
type ShadowReport struct {
	// On says that it still is.
	On bool
	// Since is when it began, and Until when it ended, or now; both zero if it never began.
	Since, Until time.Time
	// Flows are those that requests came of.
	Flows map[policies.FlowKey]ShadowFigures
}

// ShadowFigures are of one flow.
type ShadowFigures struct {
	// Requests were served at once; those that are over held slots for Held.
	Requests int64
	Held     time.Duration
	// Of them flow control would have let go Dispatched, refused Refused at once and Evicted
	// while they waited. The rest waits as played.
	Dispatched, Refused, Evicted int64
	// Granted is for how long those dispatched would have held slots, as far as they are over.
	Granted time.Duration
	// Waited is how long those dispatched would have waited together, and Waits each.
	Waited time.Duration
	Waits  traffic.Waits
}

// maxShadowFlows bounds the flows that a report tells apart; those beyond are one.
const maxShadowFlows = 10_000

// of is a flow's figures; the lock is held.
func (r *ShadowReport) of(flow policies.FlowKey, change func(*ShadowFigures)) {
	if r.Flows == nil {
		r.Flows = make(map[policies.FlowKey]ShadowFigures)
	}
	if _, known := r.Flows[flow]; !known && len(r.Flows) >= maxShadowFlows {
		flow.ID = OverflowFlow
	}
	f := r.Flows[flow]
	change(&f)
	r.Flows[flow] = f
}

// decided notes what flow control would have done with a request.
func (f *ShadowFigures) decided(outcome controller.Outcome, waited time.Duration) {
	switch outcome {
	case controller.Dispatched:
		f.Dispatched++
		f.Waited += waited
		f.Waits.Observe(waited)
	case controller.RejectedCapacity, controller.RejectedNoEndpoints, controller.RejectedOther:
		f.Refused++
	default:
		f.Evicted++
	}
}
