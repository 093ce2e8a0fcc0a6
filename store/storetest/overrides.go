package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/store"
)

// overrides wants the latest override of each name to be kept for its time, also one that
// was taken back, and none by who only knows an earlier one.
func overrides(t *testing.T, ledger store.Ledger, clock *Clock) {
	l := ledger.(store.Overriding)
	put := func(some ...store.Override) map[string]store.Override {
		t.Helper()
		all, err := l.Overrides(t.Context(), some...)
		if err != nil {
			t.Fatal(err)
		}
		byName := make(map[string]store.Override)
		for _, o := range all {
			byName[o.Name] = o
		}
		if len(byName) != len(all) {
			t.Errorf("a name is kept twice: %v", all)
		}
		return byName
	}
	want := func(got store.Override, value string, left time.Duration) {
		t.Helper()
		if got.Value != value || got.Left != left || got.Revision == 0 {
			t.Errorf("kept is %+v, want %q for %v", got, value, left)
		}
	}
	if all := put(); len(all) != 0 {
		t.Errorf("a new ledger keeps %v", all)
	}
	first := put(store.Override{Name: "a b", Left: time.Minute, Value: "one \n two"})["a b"]
	want(first, "one \n two", time.Minute)
	second := put(store.Override{Name: "a b", Left: 2 * time.Minute, Value: "three"}, store.Override{Name: "other", Left: time.Second, Value: "x"})["a b"]
	if want(second, "three", 2*time.Minute); second.Revision <= first.Revision {
		t.Errorf("the later revision is %d, after %d", second.Revision, first.Revision)
	}
	want(put(first)["a b"], "three", 2*time.Minute)

	clock.Advance(time.Second)
	all := put()
	if want(all["a b"], "three", 119*time.Second); len(all) != 1 {
		t.Errorf("one that has run out is kept: %v", all)
	}
	back := put(store.Override{Name: "a b", Left: 119 * time.Second})["a b"]
	want(back, "", 119*time.Second)
	want(put(second)["a b"], "", 119*time.Second)
	clock.Advance(2 * time.Minute)
	if all := put(); len(all) != 0 {
		t.Errorf("one that was taken back is kept for longer than it would have held: %v", all)
	}
	second.Left = 30 * time.Second // as who knows it states it to a ledger that lost it
	if got := put(second)["a b"]; got != second {
		t.Errorf("stated again, it is kept as %+v, not %+v", got, second)
	}

	if _, err := l.Overrides(t.Context(), store.Override{Name: "long", Left: time.Minute, Value: strings.Repeat("x", store.MaxOverride)}); !errors.Is(err, store.ErrOverrides) {
		t.Errorf("one that is too long: %v", err)
	}
	var many []store.Override
	for i := range store.MaxOverrides - 1 {
		many = append(many, store.Override{Name: fmt.Sprint("many", i), Left: time.Minute, Value: "x"})
	}
	put(many...)
	if _, err := l.Overrides(t.Context(), store.Override{Name: "one more", Left: time.Minute, Value: "x"}); !errors.Is(err, store.ErrOverrides) {
		t.Errorf("one too many: %v", err)
	}
	want(put(store.Override{Name: "many1", Left: time.Minute, Value: "y"})["many1"], "y", time.Minute)
}
