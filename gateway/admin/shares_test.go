package admin

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// watching is what replica a says that started at a time, of priority -1.
func watching(started time.Time, held, got, below float64) partOf[statePart] {
	return partOf[statePart]{"a", statePart{
		Started: started, Held: []heldPart{{Priority: -1, SlotSeconds: held}, {Group: "acme", SlotSeconds: held / 2}},
		Bands: []bandPart{{Priority: -1, Share: store.Guarantee{Slots: 2, Got: got, Below: below}}},
	}}
}

// TestHad wants what classes had in each window, through a replica that starts again, and a ledger that
// forgets.
func TestHad(t *testing.T) {
	var h had
	now := time.Unix(1_800_000_000, 0)
	first, again := now.Add(-3*time.Hour), now.Add(-15*time.Minute)
	h.add(now.Add(-2*time.Hour), []partOf[statePart]{watching(first, 1000, 1000, 5)})
	h.add(now.Add(-20*time.Minute), []partOf[statePart]{watching(first, 1900, 1900, 7)})
	h.add(now.Add(-10*time.Minute), []partOf[statePart]{watching(again, 600, 0, 1)}) // both began anew
	h.add(now.Add(-4*time.Minute), []partOf[statePart]{watching(again, 960, 360, 1)})
	h.add(now.Add(-time.Minute), []partOf[statePart]{watching(again, 1200, 720, 3)})
	h.add(now, []partOf[statePart]{watching(again, 1320, 840, 3.5)})
	want := []api.Had{
		{Minutes: 1, SpanMS: 60_000, Slots: 2, BelowMS: 500},
		{Minutes: 5, SpanMS: 240_000, Slots: 1.5, BelowMS: 2500},
		{Minutes: 60, SpanMS: 1_200_000, Slots: 1.1, BelowMS: 3500},
	}
	if diff := cmp.Diff(want, h.of(class{priority: -1})); diff != "" {
		t.Error(diff)
	}
	if got := h.of(class{group: "acme"}); got[1].Slots != 0.75 || got[1].BelowMS != 0 {
		t.Errorf("the group had %+v, want half of what the priority had", got)
	}
	if n := len(h.samples); n != 5 {
		t.Errorf("%d samples are kept, want those of the last hour", n)
	}
	if got := h.of(class{priority: 5}); got[0].SpanMS != 60_000 || got[0].Slots != 0 {
		t.Errorf("of one that had nothing: %+v", got)
	}
}

// TestHadOfThoseThatCome counts what a replica held from when it was first heard of, through its
// next run and a sample in which it was not heard, whatever its clock says; and not what it held
// while it was not heard of for long.
func TestHadOfThoseThatCome(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, clock := range []time.Duration{-time.Hour, 0, time.Hour} {
		var h had
		had := func(want float64) {
			t.Helper()
			if got := h.of(class{priority: -1})[0].Slots; math.Abs(got-want) > 1e-9 {
				t.Errorf("with a clock that is %v ahead it had %v slots in the last minute, want %v", clock, got, want)
			}
		}
		at := now
		hear := func(started time.Duration, held float64) {
			h.add(at, []partOf[statePart]{watching(now.Add(started+clock), held, 0, 0)})
			at = at.Add(step)
		}
		miss := func(samples int) {
			for range samples {
				h.add(at, nil)
				at = at.Add(step)
			}
		}
		miss(1)
		hear(-time.Hour, 500)
		hear(-time.Hour, 510)
		had(10.0 / 10)
		hear(12*time.Second, 10) // again
		had(20.0 / 15)
		miss(1)
		hear(12*time.Second, 30)
		had(40.0 / 25)
		miss(120)
		hear(12*time.Second, 5000)
		had(0)
		hear(12*time.Second, 5060)
		had(1)
	}
}

// TestHadIsForgotten wants nothing to be left of a class and of a replica an hour after.
func TestHadIsForgotten(t *testing.T) {
	var h had
	now := time.Unix(1_800_000_000, 0)
	for i := range 3 {
		h.add(now.Add(time.Duration(i)*step), []partOf[statePart]{watching(now, 10*float64(i), 0, 0)})
	}
	if len(h.sums) != 2 || len(h.replicas) != 1 {
		t.Fatalf("%d classes and %d replicas are known", len(h.sums), len(h.replicas))
	}
	for at := now.Add(time.Minute); at.Before(now.Add(62 * time.Minute)); at = at.Add(step) {
		h.add(at, nil)
	}
	if len(h.sums) != 0 || len(h.replicas) != 0 {
		t.Errorf("%d classes and %d replicas are still known", len(h.sums), len(h.replicas))
	}
	if got := h.of(class{priority: -1})[2].Slots; got != 0 {
		t.Errorf("what is forgotten had %v slots", got)
	}
}

// TestHistoryThroughAClockSetBack wants samples in their order.
func TestHistoryThroughAClockSetBack(t *testing.T) {
	var h history
	now := time.Unix(1_800_000_000, 0)
	for _, seconds := range []int{0, 5, 10, 15, 5, 10} {
		h.add(&api.Sample{At: now.Add(time.Duration(seconds) * time.Second), InFlight: int64(len(h.samples))})
	}
	var at []int
	for _, s := range h.all() {
		at = append(at, int(s.At.Sub(now).Seconds()))
	}
	if !slices.Equal(at, []int{0, 5, 10}) {
		t.Errorf("samples are of %v", at)
	}
}

// TestHadIsThinned wants a sample for each of the last five minutes' steps, and one for each minute of the
// hour.
func TestHadIsThinned(t *testing.T) {
	var h had
	now := time.Unix(1_800_000_000, 0)
	for at := now.Add(-2 * time.Hour); !at.After(now); at = at.Add(step) {
		h.add(at, []partOf[statePart]{watching(now.Add(-3*time.Hour), 3*at.Sub(now.Add(-3*time.Hour)).Seconds(), 0, 0)})
	}
	if n := len(h.samples); n < 60+55 || n > 61+56 {
		t.Errorf("%d samples are kept", n)
	}
	for i, got := range h.of(class{priority: -1}) {
		if math.Abs(got.Slots-3) > 1e-9 || got.SpanMS < int64(windows[i])*60_000-60_000 || i < 2 && got.SpanMS != int64(windows[i])*60_000 {
			t.Errorf("it had %+v, want 3 slots", got)
		}
	}
}

// TestLongestWatched wants the answer of the replica that has watched for longest, and of one that has
// not yet only if none has.
func TestLongestWatched(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	part := func(id string, began time.Time, slots float64) partOf[hadPart] {
		return partOf[hadPart]{id, hadPart{Began: began, Spans: []api.Had{{Minutes: 1}}, Classes: []hadOfClass{{Priority: 1, Had: []api.Had{{Minutes: 1, Slots: slots}}}}}}
	}
	had := longestWatched([]partOf[hadPart]{part("a", time.Time{}, 9), part("b", at.Add(time.Second), 1), part("c", at, 2), part("d", at, 3)})
	if got := had(class{priority: 1}); got[0].Slots != 2 {
		t.Errorf("it had %+v, want what c watched", got)
	}
	if got := had(class{group: "x"}); len(got) != 1 || got[0].Slots != 0 {
		t.Errorf("what nobody saw had %+v, want nothing in the same windows", got)
	}
}

// TestBandEntitled wants guarantees first, then the higher priority or the weights, and nobody to be due
// more than it wants.
func TestBandEntitled(t *testing.T) {
	for _, c := range []struct {
		name  string
		bands []entitling
		want  map[int]float64
	}{
		{"strict", []entitling{{1, 6, 0, 8, 0}, {2, 5, 0, 8, 0}}, map[int]float64{2: 5, 1: 3}},
		{"guaranteed", []entitling{{1, 6, 2, 8, 0}, {2, 20, 0, 8, 0}}, map[int]float64{2: 6, 1: 2}},
		{"a guarantee that is not wanted", []entitling{{1, 1, 2, 8, 0}, {2, 20, 0, 8, 0}}, map[int]float64{2: 7, 1: 1}},
		{"a usage limit", []entitling{{1, 20, 0, 4, 0}, {2, 3, 0, 8, 0}}, map[int]float64{2: 3, 1: 1}},
		{"weights", []entitling{{1, 20, 0, 8, 1}, {2, 20, 0, 8, 3}}, map[int]float64{2: 6, 1: 2}},
		{"weights, and little wanted", []entitling{{1, 20, 0, 8, 1}, {2, 3, 0, 8, 3}}, map[int]float64{2: 3, 1: 5}},
		{"all have what they want", []entitling{{1, 2, 0, 8, 1}, {2, 3, 0, 8, 3}}, map[int]float64{2: 3, 1: 2}},
		{"a guarantee above the weight", []entitling{{1, 20, 4, 8, 1}, {2, 20, 0, 8, 3}}, map[int]float64{2: 4, 1: 4}},
		{"a guarantee below the weight", []entitling{{1, 20, 1, 8, 1}, {2, 20, 0, 8, 3}}, map[int]float64{2: 6, 1: 2}},
		{"a strict one above", []entitling{{1, 20, 0, 8, 1}, {2, 20, 0, 8, 3}, {9, 4, 0, 8, 0}}, map[int]float64{9: 4, 2: 3, 1: 1}},
	} {
		got := bandEntitled(slices.Clone(c.bands), 8)
		if diff := cmp.Diff(c.want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		for i := range c.bands {
			b := &c.bands[i]
			b.most = math.Inf(1)
			if got := bandEntitled(slices.Clone(c.bands[i:i+1]), math.Inf(1)); got[b.priority] != b.wants {
				t.Errorf("%s: in a pool without a limit priority %d should have %v, want all of %v", c.name, b.priority, got[b.priority], b.wants)
			}
		}
	}
}

// TestEntitled wants a group to be due what its weight gives it of its priorities, or its guarantee if that
// is more, up to what it wants and to its maximum.
func TestEntitled(t *testing.T) {
	of := func(wants int64, guaranteed float64) api.Account {
		return api.Account{Queued: wants, Guaranteed: guaranteed}
	}
	all := map[class]api.Account{
		{priority: 1}: of(9, 0), {group: "weight"}: of(9, 1), {group: "guarantee"}: of(9, 3), {group: "little"}: of(1, 3), {group: "maximum"}: of(9, 0),
	}
	entitle(all, []api.GroupShare{
		{Group: "weight", Priority: 1, Entitled: 0.5}, {Group: "weight", Priority: 2, Entitled: 0.25}, {Group: "guarantee", Priority: 1, Entitled: 0.25}, {Group: "maximum", Priority: 2, Entitled: 0.75},
	}, map[int]float64{1: 4, 2: 4}, func(group string) int64 { return map[string]int64{"maximum": 2}[group] })
	for of, want := range map[class]float64{{priority: 1}: 4, {group: "weight"}: 3, {group: "guarantee"}: 3, {group: "little"}: 1, {group: "maximum"}: 2} {
		if got := all[of].Entitled; got != want {
			t.Errorf("%+v should have %v, want %v", of, got, want)
		}
	}
}

// TestAccounts wants the account of the replica that heard of the ledger last.
func TestAccounts(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	part := func(heard time.Time, bands ...bandPart) partOf[statePart] {
		return partOf[statePart]{part: statePart{Answered: heard, Bands: bands}}
	}
	share := func(priority int, slots, got float64) bandPart {
		return bandPart{Priority: priority, Share: store.Guarantee{Slots: slots, Got: got}}
	}
	got := accounts([]partOf[statePart]{
		{part: statePart{Answered: at, Groups: []groupPart{{Path: "acme", Share: store.Guarantee{Slots: 3, Owed: 2}}}}},
		part(at, share(0, 1, 5), share(-1, 2, 7)),
		part(at.Add(time.Second), share(0, 1, 6), share(3, 0, 0)),
		part(at.Add(-time.Second), share(0, 1, 4)),
	})
	want := map[class]store.Guarantee{{priority: 0}: {Slots: 1, Got: 6}, {priority: -1}: {Slots: 2, Got: 7}, {group: "acme"}: {Slots: 3, Owed: 2}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(class{})); diff != "" {
		t.Error(diff)
	}
}

// TestGuaranteesNobodyAskedFor lists a priority and a group that are guaranteed something, and
// had no request yet.
func TestGuaranteesNobodyAskedFor(t *testing.T) {
	parts := []partOf[statePart]{{part: statePart{
		Pool: core.Pool{Limit: 8}, Bands: []bandPart{{Priority: 3, Share: store.Guarantee{Slots: 2, Owed: 1}}},
	}}}
	got := guarantees(parts, &Configuration{Guaranteed: map[int]float64{3: 0.5, -1: 0.25}, GuaranteedGroups: map[string]float64{"acme": 0.5}})
	want := map[class]store.Guarantee{{priority: 3}: {Slots: 2, Owed: 1}, {priority: -1}: {Slots: 2}, {group: "acme"}: {Slots: 4}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(class{})); diff != "" {
		t.Error(diff)
	}
}

// TestWhySaysHowTheGuaranteeStands explains requests of priorities with a guarantee and
// without.
func TestWhySaysHowTheGuaranteeStands(t *testing.T) {
	states := []partOf[statePart]{{part: statePart{Bands: []bandPart{
		{Priority: 1, Share: store.Guarantee{Slots: 2.5, Owed: 1}},
		{Priority: 2, Share: store.Guarantee{Slots: 2.5, Owed: -1}},
		{Priority: 3, Share: store.Guarantee{Slots: 1}},
		{Priority: 5, Share: store.Guarantee{Slots: 1, Owed: 3}},
	}}}}
	pool := &api.Pool{Bands: []api.Band{{Priority: 1, InFlight: 1}, {Priority: 2, InFlight: 2}, {Priority: 3, InFlight: 4}, {Priority: 4, InFlight: 1}, {Priority: 5, InFlight: 1}}}
	for priority, want := range map[int]string{
		1: "; its priority has 1 of the 2.5 slots that it is guaranteed, and is due the next that ends",
		2: "; its priority has 2 of the 2.5 slots that it is guaranteed, after it had more",
		3: "; its priority has 4 in flight, and is guaranteed 1 slot",
		4: "",
		5: "; its priority has 1 in flight, is guaranteed 1 slot, had less before and is due the next that ends",
	} {
		e := &explaining{request: &api.Request{Priority: priority}, pool: pool, own: &flow{}, accounts: accounts(states)}
		if got := e.guaranteeWords(); got != want {
			t.Errorf("priority %d: %q, want %q", priority, got, want)
		}
	}
}

// TestWhySaysHowTheGroupStands explains requests in a group that is guaranteed something.
func TestWhySaysHowTheGroupStands(t *testing.T) {
	for _, c := range []struct {
		inFlight int64
		due      bool
		want     string
	}{
		{1, true, `; the group "acme" has 1 of the 2 slots that it is guaranteed, and is due the next that ends`},
		{3, false, `; the group "acme" has 3 in flight, and is guaranteed 2 slots`},
	} {
		acme := class{group: "acme"}
		e := &explaining{
			request: &api.Request{Priority: -1}, pool: &api.Pool{}, own: &flow{groups: []shard.Group{{Path: "acme"}, {Path: "acme/x"}}},
			accounts: map[class]store.Guarantee{acme: {Slots: 2}}, used: map[class]api.Account{acme: {InFlight: c.inFlight}},
		}
		if got := e.guaranteeWords(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if got := e.isDue(); got != c.due {
			t.Errorf("with %d in flight it is due: %v", c.inFlight, got)
		}
	}
}

// TestWhyOfTheGuaranteed asks why requests wait in a pool that higher priorities fill, where a
// low one is guaranteed a slot: that is due to it, and the answers must agree on it.
func TestWhyOfTheGuaranteed(t *testing.T) {
	f := newFleet(t, 1, 2, controller.WithGuarantees(func(priority int) float64 { return map[int]float64{-1: 0.5}[priority] }))
	m := f.replicas["a"]
	holds := func(inFlight, queued int64) {
		t.Helper()
		eventually(t, fmt.Sprint(inFlight, " in flight, ", queued, " waiting"), func() bool {
			var p api.Pool
			m.get(t, "/v1/pool", 200, &p)
			return p.InFlight == inFlight && p.Queued == queued
		})
	}
	for i := range 2 {
		f.begin("a", "high", "", 5)
		holds(int64(i+1), 0)
	}
	f.begin("a", "high", "high", 5)
	holds(2, 1)
	f.begin("a", "low", "low", -1)
	holds(2, 2)
	var low, high api.RequestDetail
	eventually(t, "the ledger says what is due", func() bool {
		m.get(t, "/v1/requests/low", 200, &low)
		return strings.Contains(low.Why.Reason, "is due the next that ends")
	})
	if low.Why.HeldBy != api.HeldByPool || strings.Contains(low.Why.Reason, "go first") || len(low.Why.Ahead) != 0 {
		t.Errorf("of the one that goes next: %+v", low.Why)
	}
	m.get(t, "/v1/requests/high", 200, &high)
	if want := []api.Ahead{{Priority: -1, Requests: 1}}; high.Why.HeldBy != api.HeldByPool || !slices.Equal(high.Why.Ahead, want) {
		t.Errorf("of the one that goes after it: %+v", high.Why)
	}
}

// TestWhySaysWhatAWeightGives asks why requests wait in a full pool that priorities share by
// weights, under a priority that shares nothing.
func TestWhySaysWhatAWeightGives(t *testing.T) {
	limit := int64(4)
	for _, c := range []struct {
		name     string
		bands    []api.Band
		priority int
		by, want string
	}{
		{
			"beside those that wait",
			[]api.Band{{Priority: 10, Weight: 3, Queued: 2}, {Priority: 0, Weight: 1, Queued: 1}, {Priority: -10, Weight: 4}},
			0,
			api.HeldByPool, "the pool is full: 4 of 4 in flight; priority 0 has 25% of it by its weight beside those that wait",
		},
		{
			"alone",
			[]api.Band{{Priority: 10, Weight: 3}, {Priority: 0, Weight: 1, Queued: 1}},
			0,
			api.HeldByPool, "the pool is full: 4 of 4 in flight",
		},
		{
			"before those below a strict one",
			[]api.Band{{Priority: 10, Weight: 3, Queued: 1}, {Priority: 0, Queued: 1}, {Priority: -10, Weight: 1, Queued: 5}},
			10,
			api.HeldByPool, "the pool is full: 4 of 4 in flight",
		},
		{
			"below a strict one",
			[]api.Band{{Priority: 10, Weight: 3, Queued: 1}, {Priority: 0, Queued: 1}, {Priority: -10, Weight: 1, Queued: 5}},
			-10,
			api.HeldByPriority, "2 requests of higher priorities wait and go first",
		},
		{
			"below one request",
			[]api.Band{{Priority: 0, Queued: 1}, {Priority: -10, Queued: 5}},
			-10,
			api.HeldByPriority, "1 request of a higher priority waits and goes first",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &explaining{
				request: &api.Request{Ingress: "a", Priority: c.priority}, own: &flow{},
				pool:   &api.Pool{Endpoints: 1, Limit: &limit, InFlight: 4, Bands: c.bands},
				states: []partOf[statePart]{{"a", statePart{Ledger: core.Connected}}},
			}
			if e.hold(); e.why.HeldBy != c.by || e.why.Reason != c.want {
				t.Errorf("%s: %s, want %s: %s", e.why.HeldBy, e.why.Reason, c.by, c.want)
			}
		})
	}
}
