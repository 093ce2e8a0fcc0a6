package shares

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// guaranteeing is what is below "weir:" where the priority of batch is guaranteed a part, and a
// flood has a higher one.
func guaranteeing(part string) string {
	return `
  flows: [{id: batch, priority: -10}, {id: flood, priority: 10}]
  bands: [{priority: -10, guaranteed: ` + part + `}]
`
}

// TestFloor holds what a priority is guaranteed against a flood of a higher one: while it waits,
// each time that it comes back, and alone it has everything.
func TestFloor(t *testing.T) {
	const part = 0.3 // 2.4 slots
	onFleets(t, guaranteeing("30%"), func(f *fleet) {
		endFlood := f.everywhere("flood", 40)
		stop := f.clients("batch", 20, f.at(2))
		f.next(100)
		under := f.next(200 * times())
		f.share("30% guaranteed, under a flood of a higher priority", under, 0.28, 0.34, "batch")
		f.holds("the same, furthest behind", under, part, "batch")

		marks := []Mark{{f.now(), "comes and goes"}}
		var returns []float64
		median := f.median(under)
		for range 2 + times() {
			stop()
			f.idle("batch")
			back := f.now()
			stop = f.clients("batch", 20, f.at(2))
			f.next(60)
			took, ok := f.curve("batch").Reaches(3, back)
			if !ok {
				f.Fatal("back from idleness, it did not reach 3 slots")
			}
			returns = append(returns, took.Seconds()/median.Seconds())
		}
		slices.Sort(returns)
		f.tell("back from idleness, until it has what is guaranteed, in median request times", "%.2f, at most %.2f of %d times",
			returns[len(returns)/2], returns[len(returns)-1], len(returns))
		if returns[len(returns)/2] > 3 {
			f.Errorf("back from idleness, it had what it is guaranteed after %.1f median request times", returns)
		}
		marks = append(marks, Mark{f.now(), "stays"})
		f.share("the same, from then on", f.next(150*times()), 0.28, 0.34, "batch")

		marks = append(marks, Mark{f.now(), "alone"})
		endFlood()
		f.idle("flood")
		f.share("alone", f.next(50*times()), 1, 1, "batch")
		f.plot("floor", "30% guaranteed, under a flood of a higher priority", []string{"flood", "batch"}, part*slots, marks...)
	})
}

// TestTrickle holds a guarantee of a sixth of a slot while higher priorities want everything.
func TestTrickle(t *testing.T) {
	const part = 0.02
	onFleets(t, guaranteeing("2%"), func(f *fleet) {
		f.load.Tokens = func(string) int { return 32 } // 160 ms: no window is short because a request was long
		f.everywhere("flood", 30)
		f.everywhere("other", 20) // of priority 0
		f.clients("batch", 10, f.at(2))
		f.next(100)
		saturated, every := 15*time.Second, "15 s"
		if reporting {
			saturated, every = 10*time.Minute, "ten minutes"
		}
		from := f.now()
		time.Sleep(saturated) // it is for how long, not for how many requests
		s := Span{from, f.now()}
		f.share("2% of 8 slots guaranteed, "+every+" of floods of higher priorities", s, 0.017, 0.035, "batch")
		// A sixth of a slot is one for a sixth of the time, so that any ten request times have one
		// request of 1.6, and the window that begins and ends within one has no whole one.
		median := f.median(s)
		window, c := 10*median, f.curve("batch")
		less := part*slots - median.Seconds()/window.Seconds()
		within := 1 - c.Below(s, window, less)
		f.tell("the same in ten median request times: at worst; within a request of it", "%.2f%%; %.1f%% of the time", 100*c.Worst(s, window)/slots, 100*within)
		if within < 0.95 {
			f.Errorf("in %.1f%% of all ten median request times it had over a request less than it is guaranteed", 100-100*within)
		}
	})
}

// TestGroupFloor holds what a group is guaranteed over its priorities together, and what a team in it
// is, while a higher priority wants everything.
func TestGroupFloor(t *testing.T) {
	onFleets(t, `
  flows: [{id: acme/batch, priority: -10}, {id: acme/team/x, priority: -20}, {id: flood, priority: 10}]
  groups:
  - {name: acme, guaranteed: 30%}
  - {name: acme/team, guaranteed: 10%}
  - {name: zeta}
`, func(f *fleet) {
		endFlood := f.everywhere("flood", 40)
		f.clients("acme/chat", 1, f.at(0)) // of priority 0: less than the guarantee
		f.clients("acme/batch", 20, f.at(2))
		f.clients("acme/team/x", 10, f.at(0))
		f.next(100)
		s := f.next(200 * times())
		f.share("a group is guaranteed 30%, over three priorities, under a flood of a higher one", s, 0.28, 0.38, "acme") // it may have up to a slot more
		f.share("a team in it is guaranteed 10%", s, 0.085, 0.2, "acme/team")
		f.tellsGuarantees(map[string]float64{"*": 0, "acme": 2.4, "acme/*": 0, "acme/team": 0.8, "zeta": 0})
		endFlood()
		f.idle("flood")
		f.share("the group alone", f.next(50*times()), 1, 1, "acme")
	})
}

// tellsGuarantees wants /v1/shares to have what groups are guaranteed, in slots.
func (f *fleet) tellsGuarantees(want map[string]float64) {
	f.Helper()
	shares, err := processes.Get[api.Shares](f.at(2), "/v1/shares")
	guaranteed := make(map[string]float64)
	for _, g := range shares.OverPriorities {
		guaranteed[g.Group] = g.Guaranteed
	}
	if err != nil || !maps.Equal(guaranteed, want) {
		f.Errorf("/v1/shares: %+v, %v; want %v of %d slots", shares.OverPriorities, err, want, slots)
	}
}

// holds tells how far the tenants fell behind their part of the slots' time in the span, and wants it to be within
// the bound of docs/shares.md.
func (f *fleet) holds(what string, s Span, part float64, of ...string) {
	f.Helper()
	lack, over := f.curve(of...).Lack(s, part, f.curve(), 0)
	bound := f.bound(s, part*slots, of...)
	f.tell(what, "%.2f slot-seconds (bound %.2f)", lack, bound)
	if lack > bound {
		f.Errorf("%s: from %v to %v it fell %.2f slot-seconds behind, at most %.2f are promised", what, over.From, over.To, lack, bound)
	}
}

// bound is by how many slot-seconds a class may fall behind its guarantee at most.
func (f *fleet) bound(s Span, guaranteed float64, of ...string) float64 {
	return f.longest(s, of...).Seconds() + guaranteed*f.longest(s).Seconds()
}

// lengths are how long the requests took that ended in the span, sorted.
func (f *fleet) lengths(s Span, of ...string) (took []time.Duration) {
	for _, r := range f.servers.Ran() {
		if ended := r.Ended.Sub(f.began); !r.Ended.IsZero() && ended >= s.From && ended < s.To && belongs(r.Tenant, of) {
			took = append(took, r.Ended.Sub(r.Began))
		}
	}
	slices.Sort(took)
	if len(took) == 0 {
		f.Fatalf("no request of %v ended from %v to %v", of, s.From, s.To)
	}
	return took
}

func (f *fleet) median(s Span, of ...string) time.Duration {
	took := f.lengths(s, of...)
	return took[len(took)/2]
}

func (f *fleet) longest(s Span, of ...string) time.Duration {
	took := f.lengths(s, of...)
	return took[len(took)-1]
}

// idle waits until a tenant that has stopped has had nothing for as long as some requests take.
func (f *fleet) idle(tenant string) {
	f.Helper()
	f.cluster().Wait(fmt.Sprint(tenant, " is idle"), processes.Patience, func() bool {
		return f.curve(tenant).Most(Span{f.now() - time.Second, f.now()}) == 0
	})
}
