package core_test

import (
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
)

// TestLongest states how long the longest request took of those that ended of late or run,
// once one has ended.
func TestLongest(t *testing.T) {
	s := newScript(t)
	c := s.find("me").core
	c.SetPool(s.now, core.Pool{Endpoints: 1, Limit: 9})
	stated := func() (longest time.Duration) {
		t.Helper()
		taken := 0
		for ready := c.Ready(s.now); ready.Turn != nil; ready = c.Ready(s.now) {
			taken, longest = taken+1, ready.Turn.Longest
			reply, err := s.ledger.Turn(t.Context(), ready.Turn)
			c.TurnDone(s.now, reply, err)
		}
		if taken == 0 {
			t.Fatal("no turn is due")
		}
		return longest
	}
	stated()
	start := func(seq uint64) { c.Enqueue(s.now, core.Request{Seq: seq, Flow: policies.FlowKey{ID: "f"}}) }
	kept := core.DefaultTimings(time.Second).LongestKept
	for _, step := range []struct {
		what  string
		after time.Duration
		do    func()
		want  time.Duration
	}{
		{"nothing runs", 0, func() { start(1); start(2) }, 0},
		{"two run, and none has ended", 2 * time.Second, func() { c.Release(s.now, 1, core.Usage{}) }, 2 * time.Second},
		{"one runs on", 3 * time.Second, func() { start(3) }, 5 * time.Second},
		{"it has ended", time.Second, func() { c.Release(s.now, 2, core.Usage{}) }, 6 * time.Second},
		{"long after, while nothing ran", 3 * kept, func() { start(4); c.Release(s.now, 3, core.Usage{}) }, 3*kept + time.Second},
		{"a while later", kept, func() { start(5); c.Release(s.now, 4, core.Usage{}) }, 3*kept + time.Second},
		{"another", kept, func() { c.Release(s.now, 5, core.Usage{}) }, kept},
	} {
		s.now = s.now.Add(step.after)
		step.do()
		if got := stated(); got != step.want {
			t.Errorf("%s: stated %v, want %v", step.what, got, step.want)
		}
	}
}
