package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/store"
)

// TestShares wants what is guaranteed reported of priorities and of groups, each by its own
// label, and nothing of what is guaranteed nothing.
func TestShares(t *testing.T) {
	var sent []string
	sendShares(func(name string, _ prometheus.ValueType, v float64, labels ...string) {
		if name == "flow_control_below_guarantee_seconds_total" {
			sent = append(sent, fmt.Sprintf("%q %g", labels, v))
		}
	}, &core.View{
		Bands:  []core.BandView{{Priority: 10}, {Priority: -1, Share: store.Guarantee{Slots: 2, Below: 3}}},
		Groups: []core.GroupView{{Path: "acme/x", Share: store.Guarantee{Slots: 1, Below: 4}}},
	})
	if got, want := strings.Join(sent, ", "), `["-1" ""] 3, ["" "acme/x"] 4`; got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
}
