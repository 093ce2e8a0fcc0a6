package storetest

import (
	"context"
	"maps"
	"testing"

	"github.com/weirflow/weir/store"
)

// identity wants a ledger to tell everybody the same, and every ledger something else.
func identity(t *testing.T, factory Factory) {
	clock := NewClock()
	one, other := factory(t, clock.Now).(store.Shared), factory(t, clock.Now).(store.Shared)
	first, err := one.Identity(t.Context(), "")
	if err != nil || first == "" {
		t.Fatalf("the identity is %q, %v", first, err)
	}
	for _, known := range []string{"", first, "another"} {
		if again, err := one.Identity(t.Context(), known); again != first || err != nil {
			t.Errorf("to who knew %q the identity is %q, %v, before it was %q", known, again, err, first)
		}
	}
	if theirs, err := other.Identity(t.Context(), ""); theirs == first || err != nil {
		t.Errorf("another ledger's identity is %q, %v, as this one's", theirs, err)
	}
}

// leaseholders wants the latest run of each replica that was attested within the time.
func leaseholders(t *testing.T, ledger store.Ledger, clock *Clock) {
	l := ledger.(store.Shared)
	attest := func(replica string, incarnation uint64) {
		t.Helper()
		if err := l.Attest(context.Background(), replica, incarnation); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want map[string]uint64) {
		t.Helper()
		if got, err := l.Leaseholders(context.Background()); err != nil || !maps.Equal(got, want) {
			t.Errorf("leaseholders are %v, %v, want %v", got, err, want)
		}
	}
	want(map[string]uint64{})
	attest("a", 1)
	attest("b with spaces", 1<<63)
	attest("a", 2)
	want(map[string]uint64{"a": 2, "b with spaces": 1 << 63})
	clock.Advance(store.LeaseholderTTL / 2)
	attest("a", 2)
	clock.Advance(store.LeaseholderTTL/2 + 2e9)
	want(map[string]uint64{"a": 2})
}
