package shard

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
)

var start = time.Unix(1_800_000_000, 0)

func testConfig(requests int64) Config {
	return Config{
		Shards: 256, OffersPerBand: 4, Idle: time.Minute,
		Band: func(int) BandConfig {
			return BandConfig{
				MaxRequests: requests, MaxBytes: 1e9,
				Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs"),
			}
		},
	}
}

// ticket returns ticket n of a flow; its number is its arrival too.
func ticket(n int, flow string, priority int) Ticket {
	return Ticket{
		ID: policies.TicketID{Ingress: "r", Seq: uint64(n)}, Flow: policies.FlowKey{ID: flow, Priority: priority},
		Bytes: 10, Arrival: start.Add(time.Duration(n) * time.Millisecond),
	}
}

// flood adds count tickets of a flow and returns how many were refused.
func flood(s *Set, from, count int, flow string, priority int) (refused, displaced int) {
	for n := range count {
		gone, err := s.Add(ticket(from+n, flow, priority), start)
		displaced += len(gone)
		if err != nil {
			refused++
		}
	}
	return refused, displaced
}

func queued(s *Set, flow string) (n int64) {
	for _, v := range s.Flows() {
		if v.Key.ID == flow {
			n += v.Requests
		}
	}
	return n
}

func TestOffersAreTheBest(t *testing.T) {
	s := New(testConfig(1000))
	flood(s, 0, 10, "a", 0)
	s.Refill()
	flood(s, 100, 10, "b", 0)
	s.Refill()
	var got []string
	s.Changes(func(o Offer) { got = append(got, fmt.Sprintf("%s/%d@%g", o.Flow.ID, o.Ticket.Seq, o.Rank)) },
		func(id policies.TicketID) { t.Errorf("%v was withdrawn, and never offered", id) })
	slices.Sort(got)
	if want := "[a/0@0 a/1@1 b/100@0 b/101@1]"; fmt.Sprint(got) != want {
		t.Errorf("offered %v, want %v", got, want)
	}
}

func TestNewcomerTakesTheWorstPlace(t *testing.T) {
	s := New(testConfig(1000))
	flood(s, 0, 10, "a", 0)
	s.Refill()
	s.Changes(func(Offer) {}, func(policies.TicketID) {})
	s.Answered()
	flood(s, 100, 1, "b", 0)
	s.Refill()
	var offered, withdrawn []uint64
	s.Changes(func(o Offer) { offered = append(offered, o.Ticket.Seq) },
		func(id policies.TicketID) { withdrawn = append(withdrawn, id.Seq) })
	if fmt.Sprint(offered, withdrawn) != "[100] [3]" {
		t.Errorf("offered %v and withdrew %v, want b's 100 for a's 3", offered, withdrawn)
	}
}

// TestRepeatWithdrawsWhatItLeavesOut has a ticket give way to a better one just before the
// offers are repeated in full, which withdraws it, and come back when that one is granted.
func TestRepeatWithdrawsWhatItLeavesOut(t *testing.T) {
	cfg := testConfig(100)
	cfg.OffersPerBand = 1
	s := New(cfg)
	var offered, withdrawn []uint64
	offer := func(o Offer) { offered = append(offered, o.Ticket.Seq) }
	withdraw := func(id policies.TicketID) { withdrawn = append(withdrawn, id.Seq) }
	add := func(n int) {
		if _, err := s.Add(ticket(n, "a", 0), start); err != nil {
			t.Fatal(err)
		}
		s.Refill()
	}
	add(2)
	s.Changes(offer, withdraw)
	s.Answered()
	add(1)
	s.Repeat(offer)
	s.Answered()
	s.Taken(ticket(1, "a", 0).ID, 1, start)
	s.Refill()
	s.Changes(offer, withdraw)
	if fmt.Sprint(offered, withdrawn) != "[2 1 2] []" {
		t.Errorf("offered %v and withdrew %v, want 2, 1 in its place, and 2 again", offered, withdrawn)
	}
}

func TestRankIsDerivedFromTheLearntCounter(t *testing.T) {
	s := New(testConfig(1000))
	flood(s, 0, 8, "a", 0)
	s.Refill()
	s.Changes(func(Offer) {}, func(policies.TicketID) {})
	s.Answered()
	s.Taken(policies.TicketID{Ingress: "r", Seq: 0}, 40, start) // served elsewhere meanwhile
	s.Refill()
	var ranks []float64
	s.Repeat(func(o Offer) { ranks = append(ranks, o.Rank) })
	if fmt.Sprint(ranks) != "[40 41 42 43]" {
		t.Errorf("ranks %v, want them to follow the learnt counter", ranks)
	}
}

func priorities(s *Set) string {
	var all []int
	for b := range s.Bands() {
		all = append(all, b.Priority())
	}
	return fmt.Sprint(all)
}

func TestIdleFlowsAndBandsAreCollected(t *testing.T) {
	s := New(testConfig(1000))
	flood(s, 0, 3, "a", 0)
	for n := range 3 {
		s.Remove(policies.TicketID{Ingress: "r", Seq: uint64(n)}, start)
	}
	flood(s, 10, 1, "b", 7)
	running, _ := s.Band(5) // whose requests wait at another owner
	running.Capacity().InFlight = 1
	for minute := range 3 {
		s.Collect(start.Add(time.Duration(minute+1) * time.Minute))
	}
	if got := priorities(s); got != "[7 5]" {
		t.Errorf("bands %s, want those that something waits or runs in: 7 and 5", got)
	}
	running.Capacity().InFlight = 0
	s.Collect(start.Add(4 * time.Minute))
	s.Collect(start.Add(5 * time.Minute))
	if got := priorities(s); got != "[7]" {
		t.Errorf("bands %s once nothing has run for a minute, want 7", got)
	}
}

// TestAgainstLedgerModel drives a Set through random events, with turns that
// may fail, and compares what a ledger would know with what the Set says stands.
func TestAgainstLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(testConfig(12))
		ledger := map[policies.TicketID]bool{}
		next, now, full := 0, start, false
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			now = now.Add(time.Millisecond)
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0, 1:
				next++
				flow := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "flow")
				_, _ = s.Add(ticket(next, flow, rapid.IntRange(0, 1).Draw(t, "priority")), now)
			case 2:
				s.Remove(policies.TicketID{Ingress: "r", Seq: uint64(rapid.IntRange(0, next).Draw(t, "which"))}, now)
			case 3: // the ledger grants one
				if len(ledger) > 0 {
					first := slices.SortedFunc(maps.Keys(ledger), policies.TicketID.Compare)[0]
					delete(ledger, first)
					s.Taken(first, float64(next), now)
				}
			case 4:
				s.Refill()
				var offered, withdrawn []policies.TicketID
				offer := func(o Offer) { offered = append(offered, o.Ticket) }
				if full = rapid.Bool().Draw(t, "full") || full; full { // until it is answered
					withdrawn = slices.Collect(maps.Keys(ledger)) // unless it is repeated
					s.Repeat(offer)
				} else {
					s.Changes(offer, func(id policies.TicketID) { withdrawn = append(withdrawn, id) })
				}
				want := 0
				for _, bd := range s.bands {
					want += bd.top.offers
				}
				arrived := rapid.Bool().Draw(t, "arrived")
				if arrived {
					for _, id := range withdrawn {
						delete(ledger, id)
					}
					for _, id := range offered {
						ledger[id] = true
					}
				}
				if !arrived || rapid.Bool().Draw(t, "reply lost") {
					s.Failed()
					continue
				}
				s.Answered()
				full = false
				if len(ledger) != want {
					t.Fatalf("%d offers stand, the set says %d", len(ledger), want)
				}
			}
		}
	})
}

// TestMovedFlowIsNewToItsGroup moves a flow that waits to a group that has been served a lot:
// it begins where that group stands, and the group goes on where it stood.
func TestMovedFlowIsNewToItsGroup(t *testing.T) {
	in := map[string]string{"moved": "old", "other": "new"}
	cfg := testConfig(100)
	cfg.Groups = func(id string) []Group { return []Group{{in[id], 1}} }
	s := New(cfg)
	flood(s, 0, 1, "moved", 0)
	flood(s, 1, 1, "other", 0)
	s.LearnGroup(GroupStanding{Group: Group{Path: "new"}, Counter: 50, Known: true, VirtualTime: 40, Level: 45})
	s.Refill()
	s.Changes(func(Offer) {}, func(policies.TicketID) {})
	s.Answered()
	in["moved"] = "new"
	s = s.Rebuilt(cfg, time.Time{})
	s.Refill()
	s.Repeat(func(o Offer) {
		if moved := o.Flow.ID == "moved"; o.Group != "new" || o.Idle != moved || o.IdleGroups != 0 {
			t.Errorf("offered as %+v; want only the flow that moved to be new there", o)
		}
	})
	for _, f := range s.bands[0].sorted() {
		if want := map[string]float64{"moved": 45}[f.key.ID]; f.lift != want {
			t.Errorf("%s is lifted by %g, want %g", f.key.ID, f.lift, want)
		}
	}
}

// TestServedInOutageIsKept changes the configuration in an outage: who was served most in
// it is still behind.
func TestServedInOutageIsKept(t *testing.T) {
	cfg := testConfig(100)
	cfg.OffersPerBand = 1
	s := New(cfg)
	flood(s, 0, 1, "served", 0)
	s.ChargedInOutage(policies.FlowKey{ID: "served"}, 5, 0)
	flood(s, 1, 1, "other", 0)
	s = s.Rebuilt(cfg, time.Time{})
	s.Refill()
	s.Changes(func(o Offer) {
		if o.Flow.ID != "other" {
			t.Errorf("%s is first", o.Flow.ID)
		}
	}, func(policies.TicketID) {})
}

// TestAtLimitWaitsForRoom has the ledger refuse a flow that has no limit here: it offers
// no more, and another flow does, until there is room.
func TestAtLimitWaitsForRoom(t *testing.T) {
	s := New(testConfig(100))
	turn := func() (offered []string) {
		s.Refill()
		s.Changes(func(o Offer) { offered = append(offered, o.Flow.ID) }, func(policies.TicketID) {})
		s.Answered()
		return offered
	}
	flood(s, 0, 1, "refused", 0)
	turn()
	s.AtLimit(ticket(0, "refused", 0).ID)
	flood(s, 1, 1, "other", 0)
	if offered := turn(); !slices.Equal(offered, []string{"other"}) || !s.HasLimited() {
		t.Errorf("offered after the refusal: %v, want only the other flow's; asks for room: %v", offered, s.HasLimited())
	}
	s.Room("refused", 1, 1, start)
	if offered := turn(); !slices.Equal(offered, []string{"refused"}) || s.HasLimited() {
		t.Errorf("offered once there is room: %v, want what was refused; still asks for room: %v", offered, s.HasLimited())
	}
}

// TestNewcomersRankAtTheLevel has many flows come that the ledger does not know: they do not
// fill the offers before one that does not rank behind them.
func TestNewcomersRankAtTheLevel(t *testing.T) {
	s := New(testConfig(100))
	offered := func() (flows []string) {
		s.Refill()
		s.Repeat(func(o Offer) { flows = append(flows, fmt.Sprintf("%s@%v", o.Flow.ID, o.Rank)) })
		s.Answered()
		return flows
	}
	flood(s, 0, 1, "steady", 0)
	flood(s, 1, 1, "light", 0)
	offered()
	for _, it := range []uint64{0, 1} {
		s.Taken(policies.TicketID{Ingress: "r", Seq: it}, 3, start)
	}
	s.Learn(0, 2, 3.5, 0, 0)
	for n := range 8 {
		flood(s, 10+n, 1, fmt.Sprint("new-", n), 0)
	}
	flood(s, 20, 1, "steady", 0)
	flood(s, 21, 1, "light", 0)
	// The newcomers' lift is for the ledger to add.
	if got, want := fmt.Sprint(offered()), "[steady@3 light@3 new-0@0 new-1@0]"; got != want {
		t.Errorf("offered are %s, want %s", got, want)
	}
}

// TestPreferredOnce states what a ticket prefers when its offer is stated first, and not when
// it is repeated or its turn was not answered.
func TestPreferredOnce(t *testing.T) {
	s := New(testConfig(100))
	q := ticket(1, "a", 0)
	q.Prefer = "x"
	if _, refused := s.Add(q, start); refused != nil {
		t.Fatal(refused)
	}
	s.Refill()
	var stated []string
	offer := func(o Offer) { stated = append(stated, o.Prefer) }
	s.Changes(offer, nil)
	s.Failed()
	s.Changes(offer, nil)
	s.Answered()
	s.Repeat(offer)
	if !slices.Equal(stated, []string{"x", "", ""}) {
		t.Errorf("stated as preferred: %q", stated)
	}
}
