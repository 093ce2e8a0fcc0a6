package controller

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// TestInspect asks for waiting requests, where they stand and what is ahead of them, and
// checks the answer against the order in which they are then dispatched.
func TestInspect(t *testing.T) {
	for name, policy := range map[string]policies.FairnessPolicy{
		"round robin": fairness.NewRoundRobin("rr"), "global strict": fairness.NewGlobalStrict("gs"),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := NewController(memory.New(memory.Config{}), WithReplica("r"), WithLimit(1),
				WithDefaultBand(shard.BandConfig{Fairness: policy}))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			first := request("first")
			dispatch(t, c, first)
			order := make(chan string, 20)
			var begun []*Request
			for _, tenant := range []string{"a", "a", "a", "b", "b", "c"} {
				r := request(tenant)
				r.Name = tenant + string(rune('0'+len(begun)))
				begun = append(begun, r)
				go func() {
					if outcome, _ := c.EnqueueAndWait(context.Background(), r); outcome == Dispatched {
						order <- r.Name
						c.Release(r, Usage{})
					}
				}()
				for waiting := 0; waiting < len(begun); time.Sleep(time.Millisecond) {
					_, waiting, err = c.Requests(t.Context(), func(v *RequestView) bool { return !v.InFlight }, 0)
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			want := make(map[string]int) // how many are ahead, by name
			all, n, err := c.Requests(t.Context(), func(v *RequestView) bool { return !v.InFlight }, 100)
			if err != nil || n != len(begun) || len(all) != n {
				t.Fatalf("%d of %d requests, %v; want all %d", len(all), n, err, len(begun))
			}
			for _, v := range all {
				p, here, err := c.PlaceOf(t.Context(), v.ID)
				if err != nil || !here || v.Owner != "r" {
					t.Fatalf("%s waits at %q, in the queues here: %v, %v", v.Name, v.Owner, here, err)
				}
				ahead, err := c.Ahead(t.Context(), v.Flow, p.Rank, p.Score)
				if err != nil {
					t.Fatal(err)
				}
				want[v.Name] = p.Ahead
				for _, tickets := range ahead {
					want[v.Name] += tickets
				}
			}
			if _, here, _ := c.PlaceOf(t.Context(), policies.TicketID{Ingress: "r", Seq: 1}); here {
				t.Error("a ticket that does not exist has a place")
			}
			running, n, err := c.Requests(t.Context(), func(v *RequestView) bool { return v.InFlight }, 100)
			if err != nil || n != 1 || running[0].Flow.ID != "first" {
				t.Errorf("in flight: %v, %v; want the first", running, err)
			}
			c.Release(first, Usage{})
			var got []string
			for range begun {
				got = append(got, <-order)
			}
			for name, ahead := range want {
				if at := slices.Index(got, name); at-ahead > 1 || ahead-at > 1 { // equal ranks go either way
					t.Errorf("%s had %d ahead of it and went at %d of %v", name, ahead, at, got)
				}
			}
		})
	}
}
