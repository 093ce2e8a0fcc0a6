package app

import (
	"slices"
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
