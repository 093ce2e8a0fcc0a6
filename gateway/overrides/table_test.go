package overrides_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// breakable is a ledger that can be out of reach.
type breakable struct {
	store.Overriding
	broken atomic.Bool
}

func (b *breakable) Overrides(ctx context.Context, put ...store.Override) ([]store.Override, error) {
	if b.broken.Load() {
		return nil, store.ErrUnavailable
	}
	return b.Overriding.Overrides(ctx, put...)
}

// replicas are tables of one ledger, and what each was told.
type replicas struct {
	ledger breakable
	clock  time.Time
	tables []*overrides.Table
	told   [][]string
}

func newReplicas(n int) *replicas {
	r := &replicas{clock: time.Unix(1_800_000_000, 0), told: make([][]string, n)}
	r.wipe()
	for i := range n {
		r.tables = append(r.tables, overrides.New(overrides.Config{
			Ledger: &r.ledger, Noted: func(_ overrides.Subject, text string) { r.told[i] = append(r.told[i], text) },
		}))
	}
	return r
}

// wipe has the ledger lose everything.
func (r *replicas) wipe() {
	r.ledger.Overriding = memory.New(memory.Config{Clock: func() time.Time { return r.clock }})
}

func (r *replicas) look(t *testing.T) {
	t.Helper()
	for _, table := range r.tables {
		if err := table.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *replicas) want(t *testing.T, words ...string) {
	t.Helper()
	for i, table := range r.tables {
		var got []string
		for _, o := range table.Set().All() {
			got = append(got, fmt.Sprintf("%s%s: %s", o.Flow, o.Endpoint, o.Words()))
		}
		if !slices.Equal(got, words) {
			t.Errorf("replica %d goes by %q, want %q", i, got, words)
		}
	}
}

func limit(n int64) overrides.Settings { return overrides.Settings{MaxInFlight: &n} }

// TestAllGoByTheLatest sets, replaces and takes back at different replicas.
func TestAllGoByTheLatest(t *testing.T) {
	r, acme := newReplicas(2), overrides.Subject{Flow: "acme"}
	r.look(t)
	put := func(at int, s overrides.Settings) {
		t.Helper()
		if err := r.tables[at].Put(t.Context(), acme, s, time.Minute); err != nil {
			t.Fatal(err)
		}
		r.look(t)
	}
	put(0, limit(3))
	r.want(t, "acme: at most 3 in flight")
	weight := 2.5
	put(1, overrides.Settings{Weight: &weight, Why: "because"})
	r.want(t, "acme: weight 2.5")

	r.wipe()
	r.look(t)
	r.want(t, "acme: weight 2.5")
	late := overrides.New(overrides.Config{Ledger: &r.ledger})
	if err := late.Look(t.Context()); err != nil || len(late.Set().All()) != 1 {
		t.Errorf("after a wipe, a replica that comes later goes by %+v, %v", late.Set().All(), err)
	}

	if err := r.tables[0].Clear(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	r.wipe() // before the other knows of it
	r.look(t)
	r.look(t)
	r.want(t)
	if err := r.tables[1].Clear(t.Context(), acme); !errors.Is(err, overrides.ErrNothingSet) {
		t.Errorf("taken back again: %v", err)
	}
	for i, told := range r.told {
		if want := []string{"flow acme: at most 3 in flight, for 1m", "flow acme: weight 2.5, for 1m: because", "flow acme: as configured again"}; !slices.Equal(told, want) {
			t.Errorf("replica %d was told %q, want %q", i, told, want)
		}
	}
}

// TestHoldsForItsTime wants an override to end also while the ledger is out of reach.
func TestHoldsForItsTime(t *testing.T) {
	r := newReplicas(1)
	if err := r.tables[0].Put(t.Context(), overrides.Subject{Endpoint: "10.0.0.1:8000"}, overrides.Settings{Drain: true}, time.Second); err != nil {
		t.Fatal(err)
	}
	r.ledger.broken.Store(true)
	if err := r.tables[0].Look(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	r.want(t, "10.0.0.1:8000: drained")
	if d := r.tables[0].Set().Drained(); !d["10.0.0.1:8000"] || len(d) != 1 {
		t.Errorf("drained are %v", d)
	}
	for until := time.Now().Add(10 * time.Second); len(r.tables[0].Set().All()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it holds for longer than its second")
		}
		_ = r.tables[0].Look(t.Context())
	}
}

// TestOverTheConfigured puts what was set over what the configuration says.
func TestOverTheConfigured(t *testing.T) {
	r := newReplicas(1)
	if err := r.tables[0].Put(t.Context(), overrides.Subject{Flow: "a"}, limit(0), time.Minute); err != nil {
		t.Fatal(err)
	}
	configured := shard.Limit{MaxInFlight: 5, TokensPerMinute: 100, Reject: true}
	of := r.tables[0].Set().Limit(func(string) shard.Limit { return configured })
	if got, want := of("a"), (shard.Limit{TokensPerMinute: 100, Reject: true}); got != want {
		t.Errorf("the limit is %+v, want %+v", got, want)
	}
	if got := of("b"); got != configured {
		t.Errorf("another flow's limit is %+v", got)
	}
	weight := r.tables[0].Set().Weight(func(policies.FlowKey) float64 { return 7 })
	if got := weight(policies.FlowKey{ID: "a"}); got != 7 {
		t.Errorf("the weight is %v, which was not set", got)
	}
}

// TestInvalid refuses what cannot be set.
func TestInvalid(t *testing.T) {
	table, zero, nine := newReplicas(1).tables[0], 0.0, int64(-9)
	weight := overrides.Settings{Weight: &zero}
	for what, put := range map[string]func() error{
		"nothing": func() error {
			return table.Put(t.Context(), overrides.Subject{Flow: "f"}, overrides.Settings{}, time.Minute)
		},
		"nobody's": func() error { return table.Put(t.Context(), overrides.Subject{}, limit(1), time.Minute) },
		"of both": func() error {
			return table.Put(t.Context(), overrides.Subject{Flow: "f", Endpoint: "e"}, limit(1), time.Minute)
		},
		"no weight":    func() error { return table.Put(t.Context(), overrides.Subject{Flow: "f"}, weight, time.Minute) },
		"below 0":      func() error { return table.Put(t.Context(), overrides.Subject{Flow: "f"}, limit(nine), time.Minute) },
		"for too long": func() error { return table.Put(t.Context(), overrides.Subject{Flow: "f"}, limit(1), 8*24*time.Hour) },
		"for no time":  func() error { return table.Put(t.Context(), overrides.Subject{Flow: "f"}, limit(1), 0) },
		"a flow drained": func() error {
			return table.Put(t.Context(), overrides.Subject{Flow: "f"}, overrides.Settings{Drain: true}, time.Minute)
		},
		"a server's slot": func() error { return table.Put(t.Context(), overrides.Subject{Endpoint: "e"}, limit(1), time.Minute) },
	} {
		if err := put(); !errors.Is(err, overrides.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(table.Set().All()); n != 0 {
		t.Errorf("%d hold", n)
	}
}
