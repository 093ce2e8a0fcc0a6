package simulation

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestScale prints the table of fleets from 3 to 100 replicas in docs/measurements.md:
// run it with make scale.
func TestScale(t *testing.T) {
	if os.Getenv("WEIR_SCALE") == "" {
		t.Skip("skipped: takes minutes; run it with make scale")
	}
	fmt.Println("| replicas | grants | service gap, requests | turns a grant | light flow's wait, p50 / p99 | tickets moved when a replica leaves or comes |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, replicas := range []int{3, 10, 30, 100} {
		cfg := Config{
			Seed: 1, Replicas: replicas, Shards: 256, Limit: 20_000, Length: 8 * time.Second, Service: time.Second,
			FullPause: time.Millisecond, TurnCost: 80 * time.Microsecond, Faults: []Fault{Scale},
		}
		for i := range 10_000 {
			cfg.Flows = append(cfg.Flows, Flow{ID: fmt.Sprint("flow-", i), Weight: 1, Clients: 4, Replicas: []int{i % replicas}})
		}
		cfg.Flows = append(cfg.Flows, Flow{ID: "light", Weight: 1, Clients: 1, Light: true, Replicas: []int{0}})
		r, err := Run(cfg)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("| %d | %d | %.0f | %.3f | %v / %v | %d |\n", replicas, r.Grants, r.ServiceGap, float64(r.Turns)/float64(r.Grants),
			r.WaitP50.Round(100*time.Microsecond), r.WaitP99.Round(100*time.Microsecond), r.MovedTickets/2)
	}
}
