package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// TestFlowLabelsAreCollected sends more flows than have labels of their own, and wants
// room for new ones once the old are idle.
func TestFlowLabelsAreCollected(t *testing.T) {
	m := NewMetrics("pool")
	for n := range 1500 {
		m.Decided(policies.FlowKey{ID: fmt.Sprint("flow-", n)}, controller.Dispatched, time.Millisecond)
	}
	if n := testutil.CollectAndCount(m.waits); n != maxFlowLabels+1 {
		t.Errorf("%d series for 1500 flows, want %d and one for the others", n, maxFlowLabels)
	}
	for id := range m.flows {
		m.flows[id] = time.Now().Add(-labelIdle)
	}
	m.forgot = time.Time{}
	m.Decided(policies.FlowKey{ID: "new"}, controller.Dispatched, time.Millisecond)
	if n := testutil.CollectAndCount(m.waits); n != 2 {
		t.Errorf("%d series when all but one flow are idle, want the new one's and the others'", n)
	}
	m.Decided(policies.FlowKey{ID: "flow-1"}, controller.Dispatched, time.Millisecond)
	if n := testutil.CollectAndCount(m.waits); n != 3 {
		t.Errorf("%d series when an old flow is back", n)
	}
}
