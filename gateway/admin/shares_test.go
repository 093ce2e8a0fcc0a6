package admin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// TestHad wants what a priority had in each window, as far back as there are samples of the
// ledger's present count.
func TestHad(t *testing.T) {
	var h had
	now := time.Unix(1_800_000_000, 0)
	account := func(got, below float64) map[class]store.Guarantee {
		return map[class]store.Guarantee{{priority: -1}: {Slots: 2, Got: got, Below: below}}
	}
	h.add(now.Add(-2*time.Hour), account(0, 0))
	h.add(now.Add(-20*time.Minute), account(900, 7)) // the ledger forgot after this
	h.add(now.Add(-10*time.Minute), account(0, 0))
	h.add(now.Add(-4*time.Minute), account(360, 0))
	h.add(now.Add(-time.Minute), account(720, 3))
	got := h.of(class{priority: -1}, now, store.Guarantee{Slots: 2, Got: 840, Below: 3.5})
	want := []api.Had{
		{Minutes: 1, SpanMS: 60_000, Slots: 2, BelowMS: 500},
		{Minutes: 5, SpanMS: 240_000, Slots: 2, BelowMS: 3500},
		{Minutes: 60, SpanMS: 600_000, Slots: 1.4, BelowMS: 3500},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(h.samples); n != 4 {
		t.Errorf("%d samples are kept, want those of the last hour", n)
	}
	if got := h.of(class{priority: 5}, now, store.Guarantee{Slots: 1}); got[0].SpanMS != 0 || got[0].Slots != 0 {
		t.Errorf("of one that was not watched: %+v", got)
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
		3: "; its priority has 4 in flight, and is guaranteed 1 slots",
		4: "",
		5: "; its priority has 1 in flight, is guaranteed 1 slots, had less before and is due the next that ends",
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
