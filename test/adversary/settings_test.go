package adversary

import (
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

// TestOtherSettings starts a replica with another limit and another policy: the others name
// both.
func TestOtherSettings(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 3 s")
	}
	c := processes.StartCluster(t, 2)
	one := c.Replicas[0]
	if s := status(one, "r2"); s == nil || len(s.Differs) > 0 {
		t.Errorf("r2, which has the same settings, is said to differ: %+v", s)
	}
	c.Add("r3", "--max-concurrency", "7", "--fairness", "vtc-fairness-policy")
	want := []string{"flowControl.defaultPriorityBand", "flowControl.saturationDetector"}
	c.Wait("the settings are named", processes.Patience, func() bool {
		s := status(one, "r3")
		return s != nil && !slices.ContainsFunc(want, func(path string) bool { return !slices.Contains(s.Differs, path) })
	})
	if !one.Says(want[1], processes.Patience) {
		t.Error("the log does not name the settings")
	}
	c.Wait("the metric counts one replica with other settings", processes.Patience, func() bool {
		return processes.Metric(t, "weir_fleet_members_with_other_settings", one) == 1
	})
}

// TestExposedFleet refuses to start a replica that takes anybody for one, and says what to
// set.
func TestExposedFleet(t *testing.T) {
	redis := redistest.Start(t)
	for _, tc := range []struct{ gossip, peer, want string }{
		{"0.0.0.0:0", "127.0.0.1:0", "give all replicas the same --gossip-key-file, or say --insecure-fleet"},
		{"127.0.0.1:0", "0.0.0.0:0", "give all replicas the same --gossip-key-file, or each its own --peer-cert, or say --insecure-fleet"},
	} {
		out, err := weir(t, "serve", "--redis", redis.URL(), "--upstream", "http://127.0.0.1:1", "--gossip", tc.gossip, "--peer", tc.peer)
		if err == nil || !strings.Contains(out, tc.want) {
			t.Errorf("--gossip %s --peer %s: %v\n%s", tc.gossip, tc.peer, err, out)
		}
	}
}
