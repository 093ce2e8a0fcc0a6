package admin

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/store"
)

// TestHad wants what a priority had in each window, as far back as there are samples of the
// ledger's present count.
func TestHad(t *testing.T) {
	var h had
	now := time.Unix(1_800_000_000, 0)
	account := func(got, below float64) map[int]store.Guarantee {
		return map[int]store.Guarantee{-1: {Slots: 2, Got: got, Below: below}}
	}
	h.add(now.Add(-2*time.Hour), account(0, 0))
	h.add(now.Add(-20*time.Minute), account(900, 7)) // the ledger forgot after this
	h.add(now.Add(-10*time.Minute), account(0, 0))
	h.add(now.Add(-4*time.Minute), account(360, 0))
	h.add(now.Add(-time.Minute), account(720, 3))
	got := h.of(-1, now, store.Guarantee{Slots: 2, Got: 840, Below: 3.5})
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
	if got := h.of(5, now, store.Guarantee{Slots: 1}); got[0].SpanMS != 0 || got[0].Slots != 0 {
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
		part(at, share(0, 1, 5), share(-1, 2, 7)),
		part(at.Add(time.Second), share(0, 1, 6), share(3, 0, 0)),
		part(at.Add(-time.Second), share(0, 1, 4)),
	})
	want := map[int]store.Guarantee{0: {Slots: 1, Got: 6}, -1: {Slots: 2, Got: 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestGuaranteesNobodyAskedFor lists a priority that is guaranteed something, and had no
// request yet.
func TestGuaranteesNobodyAskedFor(t *testing.T) {
	parts := []partOf[statePart]{{part: statePart{
		Pool: core.Pool{Limit: 8}, Bands: []bandPart{{Priority: 3, Share: store.Guarantee{Slots: 2, Owed: 1}}},
	}}}
	got := guarantees(parts, map[int]float64{3: 0.5, -1: 0.25})
	want := map[int]store.Guarantee{3: {Slots: 2, Owed: 1}, -1: {Slots: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhySaysHowTheGuaranteeStands explains requests of priorities with a guarantee and
// without.
func TestWhySaysHowTheGuaranteeStands(t *testing.T) {
	states := []partOf[statePart]{{part: statePart{Bands: []bandPart{
		{Priority: 1, Share: store.Guarantee{Slots: 2.5, Owed: 1}},
		{Priority: 2, Share: store.Guarantee{Slots: 2, Owed: -1}},
		{Priority: 3, Share: store.Guarantee{Slots: 1}},
	}}}}
	pool := &api.Pool{Bands: []api.Band{{Priority: 1, InFlight: 1}, {Priority: 2, InFlight: 1}, {Priority: 3, InFlight: 4}, {Priority: 4, InFlight: 1}}}
	for priority, want := range map[int]string{
		1: "; its priority has 1 of the 2.5 slots that it is guaranteed, and gets the next that ends",
		2: "; its priority has 1 of the 2 slots that it is guaranteed, after it had more",
		3: "; its priority has 4 slots, and is guaranteed 1",
		4: "",
	} {
		e := &explaining{request: &api.Request{Priority: priority}, pool: pool, states: states}
		if got := e.guaranteeWords(); got != want {
			t.Errorf("priority %d: %q, want %q", priority, got, want)
		}
	}
}
