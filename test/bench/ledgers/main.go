// Command ledgers is a model of one pool over several ledgers, which Weir does not have: how
// much of the pool is used, and how far apart its flows get, where each ledger orders its
// own flows and has a part of the slots that follows what waits there. It prints the table
// of docs/several-ledgers.md:
//
//	go run ./test/bench/ledgers
package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

func main() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ledgers\tslots moved every\tflows\tslot time used\tgap, median\t99%\tmost\tin flight, at most")
	for _, ledgers := range []int{1, 2, 4, 8} {
		for _, every := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
			for _, mean := range []time.Duration{0, time.Second} {
				if ledgers == 1 && every != 20*time.Millisecond {
					continue // nothing is moved
				}
				r := simulate(scenario{
					ledgers: ledgers, slots: 512, flows: 256, service: 10 * time.Millisecond,
					every: every, turn: 2 * time.Millisecond, mean: mean, length: 20 * time.Second, seed: 1,
				})
				flows := "always wait"
				if mean > 0 {
					flows = fmt.Sprintf("come and go, %v", mean)
				}
				fmt.Fprintf(w, "%d\t%v\t%s\t%.1f%%\t%.0f\t%.0f\t%.0f\t%d\n", ledgers, every, flows, 100*r.used, r.gap(0.5), r.gap(0.99), r.gap(1), r.most)
			}
		}
	}
	_ = w.Flush()
}
