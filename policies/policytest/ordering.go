package policytest

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
)

// Ordering checks that a policy's order is one, and that its scores, where it has
// any, give the same.
func Ordering(t *testing.T, p policies.OrderingPolicy) {
	t.Helper()
	if n := p.TypedName(); n.Type == "" || n.Name == "" {
		t.Errorf("TypedName is %+v: type and name must be set", n)
	}
	item := rapid.Custom(func(t *rapid.T) *Item {
		i := &Item{
			At: epoch.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "arrival")) * time.Second), Share: 1,
			Input: rapid.Int64Range(0, 3).Draw(t, "input") * 100, Output: rapid.Int64Range(0, 3).Draw(t, "output") * 100,
			TTFT: time.Duration(rapid.IntRange(0, 3).Draw(t, "ttft")) * time.Second,
		}
		if rapid.Bool().Draw(t, "deadline") {
			i.Until = i.At.Add(time.Minute)
		}
		return i
	})
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(item, 3, 3).Draw(t, "items")
		a, b, c := items[0], items[1], items[2]
		switch {
		case p.Less(a, a):
			t.Fatal("a request goes before itself")
		case p.Less(a, b) && p.Less(b, a):
			t.Fatal("two requests go before each other")
		case p.Less(a, b) && p.Less(b, c) && !p.Less(a, c):
			t.Fatal("a goes before b, b before c, and a not before c")
		}
		if s, ok := p.(policies.Scorer); ok {
			byScore := slices.SortedStableFunc(slices.Values(items), func(a, b *Item) int {
				switch {
				case s.Score(a) < s.Score(b):
					return -1
				case s.Score(a) > s.Score(b):
					return 1
				}
				return 0
			})
			for i := range byScore[1:] {
				if p.Less(byScore[i+1], byScore[i]) {
					t.Fatalf("scores put %+v before %+v, Less does not", byScore[i], byScore[i+1])
				}
			}
		}
	})
}
