package app

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
)

// TestSilentIsTrouble wants every replica that should answer and does not to be named once.
func TestSilentIsTrouble(t *testing.T) {
	pool := &api.Pool{Endpoints: 1, Ledger: api.Ledger{State: "connected"}}
	pool.Fleet.Missing = []api.Missing{{Replica: "c", Why: "timeout"}}
	v := overview{Pool: pool, Trouble: missing(pool.Fleet), Replicas: []api.Replica{
		{ID: "a", Answered: true},
		{ID: "b"},
		{ID: "c"},
		{ID: "d", Leaving: true},
		{ID: "e", Lost: &api.Lost{InFlight: 2, Seconds: 3}},
	}}
	v.judge(nil)
	want := []string{
		"replica c did not answer, and what it knows is not shown: timeout",
		"replica b does not answer",
		"replica e is lost: 2 requests of it may still run, for 3 s at most",
	}
	if !slices.Equal(v.Trouble, want) {
		t.Errorf("trouble: %q, want %q", v.Trouble, want)
	}
}

// TestShadowIsSeen wants whoever looks at a fleet to see that nothing is held.
func TestShadowIsSeen(t *testing.T) {
	for _, on := range []bool{true, false} {
		var status, why bytes.Buffer
		v := overview{Pool: &api.Pool{Shadow: on, Endpoints: 1}, Replicas: []api.Replica{{ID: "a", Answered: true, LedgerState: "connected", Shadow: on}}}
		v.print(&status)
		say(&why, &api.RequestDetail{Request: api.Request{ID: "1", Flow: "a", Shadow: on}, Why: &api.Why{Reason: "the pool is full"}})
		if got := strings.Contains(status.String(), "Shadow: requests go at once") && strings.Contains(status.String(), "connected, shadow"); got != on {
			t.Errorf("shadow %v, and weir status says:\n%s", on, status.String())
		}
		if got := strings.HasPrefix(why.String(), "shadow: the request went at once"); got != on {
			t.Errorf("shadow %v, and weir why says:\n%s", on, why.String())
		}
	}
}
