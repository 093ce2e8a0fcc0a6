package list

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAgainstSlices drives random operations through two lists that share nodes
// and two slices, and compares them after each.
func TestAgainstSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lists [2]List[int]
		var model [2][]int
		nodes := make([]Node[int], 8)
		for i := range nodes {
			nodes[i].Value = i
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			n := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
			nodes[n].Remove()
			for i := range model {
				model[i] = slices.DeleteFunc(model[i], func(v int) bool { return v == n })
			}
			switch other := rapid.IntRange(0, len(nodes)-1).Draw(t, "other"); rapid.IntRange(0, 2).Draw(t, "then") {
			case 1:
				nodes[n].TakePlaceOf(&nodes[other])
				for i := range model {
					if at := slices.Index(model[i], other); at >= 0 {
						model[i][at] = n
					}
				}
			case 2:
				at := rapid.IntRange(0, 1).Draw(t, "list")
				lists[at].PushBack(&nodes[n])
				model[at] = append(model[at], n)
			}
			for i := range lists {
				var got []int
				for at := lists[i].front; at != nil; at = at.next {
					got = append(got, at.Value)
				}
				if !slices.Equal(got, model[i]) {
					t.Fatalf("list %d holds %v, want %v", i, got, model[i])
				}
				if front, ok := lists[i].Front(); ok != (len(got) > 0) || ok && front != got[0] {
					t.Fatalf("front is %d, %v of %v", front, ok, got)
				}
				if back, ok := lists[i].Back(); ok != (len(got) > 0) || ok && back != got[len(got)-1] {
					t.Fatalf("back is %d, %v of %v", back, ok, got)
				}
			}
		}
	})
}
