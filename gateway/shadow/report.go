package shadow

import (
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
)

// Report is what flow control would have done in the time for which it was last only
// played, beside what was done.
type Report struct {
	// On says that it still is.
	On bool
	// Since is when it began, and Until when it ended, or now; both zero if it never began.
	Since, Until time.Time
	// Flows are those that requests came of.
	Flows map[policies.FlowKey]Figures
}

// Figures are of one flow.
type Figures struct {
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

// maxFlows bounds the flows that a report tells apart; those beyond are one.
const maxFlows = 10_000

// of is a flow's figures; the lock is held.
func (r *Report) of(flow policies.FlowKey, change func(*Figures)) {
	if r.Flows == nil {
		r.Flows = make(map[policies.FlowKey]Figures)
	}
	if _, known := r.Flows[flow]; !known && len(r.Flows) >= maxFlows {
		flow.ID = flows.Overflow
	}
	f := r.Flows[flow]
	change(&f)
	r.Flows[flow] = f
}

// decided notes what flow control would have done with a request.
func (f *Figures) decided(outcome controller.Outcome, waited time.Duration) {
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
