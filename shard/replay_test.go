package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirflow/weir/policies"
)

// TestSameHistorySameStatements goes through the same history several times: what is put
// before the ledger, and in which order, is the same.
func TestSameHistorySameStatements(t *testing.T) {
	for seed := range uint64(10) {
		first := statements(seed)
		for range 3 {
			if again := statements(seed); !slices.Equal(again, first) {
				t.Fatalf("seed %d:\n%q, and then\n%q", seed, first, again)
			}
		}
	}
}

// statements are those of a history in which ingresses are short of room at times, and the
// ledger serves groups elsewhere.
func statements(seed uint64) (said []string) {
	random := rand.New(rand.NewPCG(seed, 0))
	s := New(inGroups(16, map[string]float64{"a": 1, "b": 2, "c": 1, "d": 3}))
	n := 0
	for range 30 {
		for range random.IntN(12) {
			n++
			flow := fmt.Sprintf("%c/%d", "abcd"[random.IntN(4)], random.IntN(4))
			_, _ = s.Add(from(fmt.Sprint("r", random.IntN(4)), n, flow), start)
		}
		var short []string
		for id := range 4 {
			if random.IntN(2) == 0 {
				short = append(short, fmt.Sprint("r", id))
			}
		}
		s.Short(short)
		s.LearnGroup(GroupStanding{Group: Group{Path: "abcd"[random.IntN(4):][:1]}, Counter: float64(random.IntN(30)), Known: true, VirtualTime: float64(random.IntN(30))})
		s.Learn(0, float64(random.IntN(30)), float64(random.IntN(30)), 0, 0)
		s.Refill()
		s.Changes(
			func(o Offer) { said = append(said, fmt.Sprintf("%v %v", o.Ticket, o.Rank)) },
			func(id policies.TicketID) { said = append(said, fmt.Sprintf("withdraw %v", id)) },
		)
		s.Answered()
	}
	return said
}
