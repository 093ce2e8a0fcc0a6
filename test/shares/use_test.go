package shares

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// turnSeconds is the metric of how long turns take.
const turnSeconds = "weir_ledger_turn_duration_seconds"

// meanRequest is how long answers take on average: from 16 to 48 tokens of 5 ms.
const meanRequest = 160 * time.Millisecond

// TestUse has the pool used as much with guarantees as without, by the same load in turn, but for
// the time in which a slot that ended waits to be given out: with guarantees nobody stands in line
// for it, so it waits for half of the turn that is under way, on average, and for the one that gives it.
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
		var used [2]float64 // slots without and with, over the rounds
		rounds := 1 + times()
		took, turns := processes.Figure(f.T, turnSeconds+"_sum", f.replicas...), processes.Figure(f.T, turnSeconds+"_count", f.replicas...)
		for range rounds {
			for i, weir := range []string{without, with} {
				f.reload(weir + fmt.Sprintf("  # %d\n", i))
				f.next(50)
				s := f.next(150)
				used[i] += f.curve().Mean(s) / float64(rounds)
			}
		}
		f.tell("slots in use with guarantees, and without, in turn", "%.2f, %.2f: %.1f%%", used[1], used[0], 100*used[1]/used[0])
		took, turns = processes.Figure(f.T, turnSeconds+"_sum", f.replicas...)-took, processes.Figure(f.T, turnSeconds+"_count", f.replicas...)-turns
		least := 0.99 - 1.5*took/turns/meanRequest.Seconds()
		f.Logf("turns of %.2f ms: at least %.1f%% are wanted", 1000*took/turns, 100*least)
		if used[1] < least*used[0] {
			f.Errorf("%.3f slots in use with guarantees, %.3f without; want %.1f%%", used[1], used[0], 100*least)
		}
	})
}
