package app

import (
	"strings"
	"testing"
	"time"
)

// TestStatusShowsShares wants what priorities and groups should have and had, and for how long one
// was below its guarantee, on the screen of 80 columns; and nothing where nothing is configured.
func TestStatusShowsShares(t *testing.T) {
	const account = `"entitled_slots": 2.4, "guaranteed_slots": 2, "in_flight": 3, "had": [{"minutes": 1, "span_ms": 60000, "slots": 2.254}, {"minutes": 5, "span_ms": 300000, "slots": 12.125}, {"minutes": 60, "span_ms": 3600000, "slots": 1.75, "below_ms": 65000}]`
	const young = `"had": [{"minutes": 1, "span_ms": 40000, "slots": 2.25}, {"minutes": 5, "span_ms": 40000, "slots": 2.25}, {"minutes": 60, "span_ms": 40000, "slots": 2.25}]`
	for what, c := range map[string]struct {
		shares string
		want   []string
	}{
		"a guarantee": {`{"shares": [{"priority": -10, ` + account + `}, {"priority": 0, "entitled_slots": 5.6}]}`, []string{"priority -10", "2.4", "2.25", "12.1", "1.75", "1m5s", "priority 0", "5.6"}},
		"begun":       {`{"shares": [{"priority": 10, "weight": 3, "entitled_slots": 6, ` + young + `}]}`, []string{"2.25 - - -"}},
		"weights":     {`{"shares": [{"priority": 10, "weight": 3, "entitled_slots": 6}]}`, []string{"priority 10", "6"}},
		"groups":      {`{"groups_over_priorities": [{"group": "acme/a-team-with-a-name-of-length", ` + account + `}, {"group": "*"}]}`, []string{"acme", "1m5s", "(no group)"}},
		"strict":      {`{"shares": [{"priority": 10, "entitled_slots": 6}]}`, nil},
	} {
		t.Run(what, func(t *testing.T) {
			url := admin(t, map[string]string{"/v1/pool": `{"endpoints": 1, "ledger": {"state": "connected"}}`, "/v1/shares": c.shares})
			out, err := run(t, 10*time.Second, "status", "--admin", url)
			if err != nil {
				t.Fatal(err)
			}
			fits(t, "weir status", out, 80)
			if shown := strings.Contains(out, "BELOW GUARANTEE"); shown != (c.want != nil) {
				t.Errorf("shares are shown: %v\n%s", shown, out)
			}
			says(t, "weir status", out, c.want...)
		})
	}
}
