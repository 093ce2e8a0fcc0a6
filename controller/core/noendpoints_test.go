package core_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
)

// TestNobodyGoesWithoutEndpoints has the pool lose its only endpoint while others stand in line: as requests
// end there, nobody goes in their slots, and who waits is served once it is back.
func TestNobodyGoesWithoutEndpoints(t *testing.T) {
	v := newRevoking(t)
	v.pass(4 * time.Second)
	for v.core.InLine() == 0 || v.turn == nil || v.comes.Sub(v.now) < revokingTurn/2 {
		v.pass(5 * time.Millisecond)
	}
	v.core.SetPool(v.now, core.Pool{Endpoints: 0, Limit: 8})
	went := 0
	for _, seq := range slices.Sorted(maps.Keys(v.ends)) {
		went += v.end(seq)
	}
	if went > 0 {
		t.Errorf("%d went although the pool has no endpoint", went)
	}
	v.core.SetPool(v.now, core.Pool{Endpoints: 1, Limit: 8})
	v.pass(2 * time.Second)
	if len(v.ends) < 6 {
		t.Errorf("%d of 8 are in flight once it is back", len(v.ends))
	}
}
