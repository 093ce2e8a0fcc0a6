package heap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type item struct{ key, index int }

// TestAgainstSortedSlice drives random operations through a heap and a sorted
// slice and compares their minimum after each.
func TestAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := New(func(a, b *item) bool { return a.key < b.key }, func(i *item) *int { return &i.index })
		var model []*item
		pick := func(t *rapid.T) *item {
			return model[rapid.IntRange(0, len(model)-1).Draw(t, "which")]
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 4).Draw(t, "op"); {
			case op <= 1 || len(model) == 0:
				i := &item{key: rapid.IntRange(0, 50).Draw(t, "key")}
				h.Push(i)
				model = append(model, i)
			case op == 2:
				i := pick(t)
				i.key = rapid.IntRange(0, 50).Draw(t, "key")
				h.Fix(i)
			case op == 3:
				i := pick(t)
				h.Remove(i)
				h.Remove(i) // no longer there: nothing happens
				model = slices.DeleteFunc(model, func(m *item) bool { return m == i })
			case op == 4:
				i := h.Pop()
				model = slices.DeleteFunc(model, func(m *item) bool { return m == i })
			}
			if h.Len() != len(model) {
				t.Fatalf("heap has %d items, model %d", h.Len(), len(model))
			}
			if len(model) > 0 && rapid.Bool().Draw(t, "ask") { // else several are not in order yet
				least := slices.MinFunc(model, func(a, b *item) int { return a.key - b.key })
				if h.Min().key != least.key {
					t.Fatalf("min is %d, want %d", h.Min().key, least.key)
				}
			}
		}
	})
}
