package shard

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/weirflow/weir/policies"
)

// pickFirst is a policy that only picks.
type pickFirst struct{}

func (pickFirst) TypedName() policies.TypedName {
	return policies.TypedName{Type: "first", Name: "first"}
}

func (pickFirst) NewState(context.Context) any { return nil }

func (pickFirst) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	for f := range band.Flows() {
		if f.Len() > 0 {
			return f, nil
		}
	}
	return nil, nil
}

// TestPicksAreRankedByTurns wants one pick to stand at a time, each a turn later than
// what the band has seen; a better ticket of the same flow takes its place.
func TestPicksAreRankedByTurns(t *testing.T) {
	cfg := testConfig(100)
	band := cfg.Band(0)
	band.Fairness = pickFirst{}
	cfg.Band = func(int) BandConfig { return band }
	s := New(cfg)
	flood(s, 10, 2, "a", 0)
	flood(s, 0, 2, "b", 0)
	var got []string
	turn := func() {
		s.Refill()
		s.Changes(func(o Offer) { got = append(got, fmt.Sprintf("%d@%g", o.Ticket.Seq, o.Rank)) },
			func(id policies.TicketID) { got = append(got, fmt.Sprintf("-%d", id.Seq)) })
		s.Answered()
	}
	taken := func(seq uint64) { s.Taken(policies.TicketID{Ingress: "r", Seq: seq}, 0, start) }
	turn()
	turn()
	flood(s, 5, 1, "a", 0)
	turn()
	taken(5)
	turn()
	s.Learn(0, 7, 7, 0, 0) // others had their turns
	taken(10)
	turn()
	s.Remove(policies.TicketID{Ingress: "r", Seq: 11}, start) // a's last: its turn is over
	turn()
	taken(0)
	turn()
	if want := "[10@1 -10 5@1 10@2 11@8 -11 0@9 1@10]"; fmt.Sprint(got) != want {
		t.Errorf("offered %v, want %v", got, want)
	}
}

// TestRanksFollowTheQueue has a policy that serves the longest queue first: offers that
// stand are ranked anew when their queues grow or shrink.
func TestRanksFollowTheQueue(t *testing.T) {
	cfg := testConfig(100)
	band := cfg.Band(0)
	band.Fairness = longestFirst{}
	cfg.Band = func(int) BandConfig { return band }
	s := New(cfg)
	var got []string
	turn := func() {
		got = nil
		s.Refill()
		s.Changes(func(o Offer) { got = append(got, fmt.Sprintf("%d@%g", o.Ticket.Seq, o.Rank)) },
			func(id policies.TicketID) { got = append(got, fmt.Sprintf("-%d", id.Seq)) })
		s.Answered()
		slices.Sort(got)
	}
	flood(s, 10, 3, "a", 0)
	flood(s, 20, 1, "b", 0)
	if turn(); fmt.Sprint(got) != "[10@-3 11@-2 12@-1 20@-1]" {
		t.Errorf("offered %v", got)
	}
	flood(s, 21, 3, "b", 0)
	if turn(); fmt.Sprint(got) != "[-11 -12 20@-4 21@-3 22@-2]" && fmt.Sprint(got) != "[-12 20@-4 21@-3]" {
		t.Errorf("b has become longer: %v", got)
	}
	s.Remove(policies.TicketID{Ingress: "r", Seq: 23}, start)
	if turn(); !slices.Contains(got, "20@-3") {
		t.Errorf("b has become shorter: %v", got)
	}
}

// longestFirst is a policy that ranks.
type longestFirst struct{ pickFirst }

func (longestFirst) Rank(_ policies.PriorityBandAccessor, f policies.FlowQueueAccessor) float64 {
	return -float64(f.Len())
}
