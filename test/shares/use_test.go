package shares

import (
	"fmt"
	"testing"
)

// TestUse has the pool used as much with guarantees as without, by the same load in turn.
func TestUse(t *testing.T) {
	const load = `
  flows: [{id: acme/batch, priority: -10}, {id: zeta/batch, priority: -10}, {id: flood, priority: 10}]
`
	with := load + `
  bands: [{priority: 0, guaranteed: 20%}, {priority: -10, guaranteed: 10%}]
  groups: [{name: acme, guaranteed: 30%}, {name: zeta, guaranteed: 15%}]
`
	without := load + `
  groups: [{name: acme}, {name: zeta}]
`
	onFleets(t, without, func(f *fleet) {
		f.everywhere("flood", 20)
		f.clients("acme/batch", 10, f.at(1))
		f.clients("zeta/batch", 10, f.at(2))
		f.everywhere("acme/chat", 6)
		f.next(50)
		var used [2]float64 // slots without and with, over the turns
		turns := 1 + times()
		for range turns {
			for i, weir := range []string{without, with} {
				f.reload(weir + fmt.Sprintf("  # %d\n", i))
				f.next(50)
				s := f.next(150)
				used[i] += f.curve().Mean(s) / float64(turns)
			}
		}
		f.tell("slots in use with guarantees, and without, in turn", "%.2f, %.2f: %.1f%%", used[1], used[0], 100*used[1]/used[0])
		if used[1] < 0.97*used[0] {
			f.Errorf("%.3f slots in use with guarantees, %.3f without", used[1], used[0])
		}
	})
}
