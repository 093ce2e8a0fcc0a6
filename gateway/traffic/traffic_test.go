package traffic

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// TestPeriods wants figures to be told for one to two periods, and then forgotten.
func TestPeriods(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).Truncate(periodLength)
	l := newLog(func() time.Time { return now })
	a := policies.FlowKey{ID: "a", Priority: 1}
	l.Decided(a, controller.Dispatched, 10*time.Millisecond, "")
	l.Decided(a, controller.RejectedCapacity, 0, "")
	l.Decided(a, controller.EvictedTTL, time.Second, "")
	l.Served(a, controller.Usage{InputTokens: 3, OutputTokens: 4})
	get := func() (c Counts, flows int) {
		l.Flows(func(key policies.FlowKey, of Counts) {
			flows++
			c = of
		})
		return c, flows
	}
	for _, step := range []struct {
		after time.Duration
		kept  bool
		span  time.Duration
	}{{0, true, 0}, {periodLength, true, periodLength}, {periodLength - 1, true, 2*periodLength - 1}, {1, false, periodLength}} {
		now = now.Add(step.after)
		c, flows := get()
		if kept := flows == 1; kept != step.kept || l.Span() != step.span {
			t.Errorf("%v on: %d flows, span %v; want kept: %v, span %v", step.after, flows, l.Span(), step.kept, step.span)
		}
		if step.kept && (c.Dispatched != 1 || c.Refused != 1 || c.Evicted != 1 || c.Tokens != 7 || c.Waits.Count() != 1) {
			t.Errorf("%v on: %+v", step.after, c)
		}
	}
	if c := l.Totals(); c.Dispatched != 1 || c.Tokens != 7 {
		t.Errorf("in all: %+v", c)
	}
}

// TestRestart wants figures of before to be gone, those of meanwhile to be nowhere, and the sums
// since the start to stay.
func TestRestart(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).Truncate(periodLength)
	l := newLog(func() time.Time { return now })
	a := policies.FlowKey{ID: "a", Priority: 1}
	l.Decided(a, controller.Dispatched, 10*time.Millisecond, "")
	now = now.Add(periodLength)
	l.Restart(func() { l.Decided(a, controller.EvictedContextCancelled, time.Second, "") })
	now = now.Add(time.Second)
	l.Decided(a, controller.RejectedCapacity, 0, "")
	l.Flows(func(_ policies.FlowKey, c Counts) {
		if c.Dispatched != 0 || c.Evicted != 0 || c.Refused != 1 {
			t.Errorf("of late: %+v", c)
		}
	})
	l.Bands(func(_ int, c Counts) {
		if c.Dispatched != 0 || c.Refused != 1 {
			t.Errorf("of the priority: %+v", c)
		}
	})
	if c := l.Totals(); c.Dispatched != 1 || c.Evicted != 0 || c.Refused != 1 || l.Span() != time.Second {
		t.Errorf("in all: %+v; of late is %v", c, l.Span())
	}
}

// TestFlowsAreBounded wants flows beyond the bound to count by their priority alone.
func TestFlowsAreBounded(t *testing.T) {
	l := NewLog()
	for i := range maxFlows + 10 {
		l.Decided(policies.FlowKey{ID: string(rune(i)) + "x" + string(rune(i/256))}, controller.Dispatched, 0, "")
	}
	flows := 0
	l.Flows(func(policies.FlowKey, Counts) { flows++ })
	var c Counts
	l.Bands(func(_ int, of Counts) { c = of })
	if flows > maxFlows || c.Dispatched != maxFlows+10 {
		t.Errorf("%d flows and %d requests; want at most %d, and all %d", flows, c.Dispatched, maxFlows, maxFlows+10)
	}
}

// TestQuantiles compares with the exact ones.
func TestQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var w Waits
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(200*time.Millisecond))
		w.Observe(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.1, 0.5, 0.9, 0.99} {
		got, want := w.Quantile(q), all[int(q*float64(len(all)))]
		if ratio := float64(got) / float64(want); ratio < 0.8 || ratio > 1.25 {
			t.Errorf("quantile %v is %v, the exact one %v", q, got, want)
		}
	}
	back, err := FromPairs(w.Pairs())
	if err != nil || back != w {
		t.Errorf("pairs and back: %v", err)
	}
	for _, bad := range [][]uint32{{1}, {buckets, 1}, make([]uint32, 2*buckets+2)} {
		if _, err := FromPairs(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
	w = Waits{}
	if w.Observe(time.Hour); w.Quantile(0.5) < time.Minute || (&Waits{}).Quantile(0.5) != 0 {
		t.Errorf("an hour counts as %v, and none as %v", w.Quantile(0.5), (&Waits{}).Quantile(0.5))
	}
	older := w
	w.Observe(time.Second)
	if d := w.Less(&older); d.Count() != 1 || bucketOf(time.Second) > buckets-1 {
		t.Errorf("%d more, want 1", d.Count())
	}
}

// TestRefusals tells what was refused of late, and no longer.
func TestRefusals(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := newLog(func() time.Time { return now })
	l.Refused("bad_path")
	now = now.Add(periodLength)
	l.Refused("queue_full")
	if got := l.Refusals(); len(got) != 2 || got["bad_path"] != 1 || got["queue_full"] != 1 {
		t.Errorf("of late: %v", got)
	}
	now = now.Add(periodLength)
	if got := l.Refusals(); len(got) != 1 || got["queue_full"] != 1 {
		t.Errorf("a period later: %v", got)
	}
	for i := range 2 * maxRefusals {
		l.Refused(string(rune('a' + i)))
	}
	if got := l.Refusals(); len(got) > maxRefusals {
		t.Errorf("%d codes are told apart", len(got))
	}
}
