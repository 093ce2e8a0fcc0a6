package gateway

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

// TestAlerts wants every metric that an alert asks for to be exported.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile("../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc, 1000)
	NewMetrics("p").Describe(descriptions)
	close(descriptions)
	exported := make(map[string]bool)
	for d := range descriptions {
		exported[regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	asked := 0
	for _, name := range regexp.MustCompile(`weir_\w+`).FindAllString(string(rules), -1) {
		asked++
		if !exported[strings.TrimSuffix(name, "_bucket")] {
			t.Errorf("an alert asks for %s, which is not exported", name)
		}
	}
	if asked < 9 {
		t.Errorf("%d metrics found in the alerts", asked)
	}
}
