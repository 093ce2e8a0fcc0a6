package redis

import (
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
)

// TestWakeupsFollowTheirSlot has another node of a cluster hold a pool: wake-ups come from there, though
// the one before answers as it did.
func TestWakeupsFollowTheirSlot(t *testing.T) {
	nodes, url := redistest.StartCluster(t, 3)
	l, err := Open(t.Context(), Config{URL: url, Timings: store.Timings{Lease: 300 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing is left
	wakeups, channel := l.Wakeups(t.Context(), "a"), l.root+":"+ledgerFormat+":wake:a"
	comesFrom := func(node *redistest.Server) bool {
		return node.Client().Do(t.Context(), "spublish", channel, "").Val() == int64(1)
	}
	if !comesFrom(redistest.HolderOf(t, nodes, l.root)) {
		t.Fatal("nobody listens at first")
	}
	<-wakeups
	to := redistest.MoveSlot(t, nodes, l.root)
	turn := turns(t, l)
	until(t, "turns are taken there", func() bool { return turn() == nil })
	until(t, "wake-ups come from there", func() bool { return comesFrom(to) })
	<-wakeups
}
