package shard

import (
	"context"
	"errors"
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

func TestBufferIsSharedFairly(t *testing.T) {
	s := New(testConfig(100))
	if refused, _ := flood(s, 0, 400, "flood", 0); refused != 300 {
		t.Errorf("%d of the flood's 400 were refused by a buffer of 100", refused)
	}
	refused, displaced := flood(s, 1000, 4, "light", 0)
	if refused != 0 || displaced != 4 {
		t.Errorf("a light flow at a full buffer: %d refused, %d displaced; want its 4 in for 4 of the flood", refused, displaced)
	}
	flood(s, 2000, 400, "other", 0)
	if a, b := queued(s, "flood"), queued(s, "other"); a != 48 || b != 48 {
		t.Errorf("two floods hold %d and %d of 100 beside 4 light ones, want 48 each", a, b)
	}
	if n := queued(s, "light"); n != 4 {
		t.Errorf("the light flow holds %d, want its 4", n)
	}
}

func TestFill(t *testing.T) {
	cfg := testConfig(100)
	cfg.MaxBytes = 1000
	s := New(cfg)
	flood(s, 0, 20, "a", 0)
	s.Learn(0, 0, 0, 30, 200)
	s.LearnOthers(50, 300)
	band, made := s.Band(0)
	if f := band.Fill(); made || f != (Fill{0.5, 400 / 1e9}) {
		t.Errorf("20 of 100 here and 30 elsewhere: %+v", f)
	}
	if f := s.FillOfAll(); f != (Fill{0, 0.5}) {
		t.Errorf("200 of 1000 bytes here and 300 elsewhere, no cap on requests: %+v", f)
	}
	if band, made = s.Band(7); !made || band.Fill() != (Fill{}) {
		t.Errorf("a band that is new: %+v, made: %v", band.Fill(), made)
	}
}

func TestHigherBandDisplacesLowest(t *testing.T) {
	cfg := testConfig(1000)
	cfg.MaxRequests = 10
	s := New(cfg)
	flood(s, 0, 5, "low", -1)
	flood(s, 100, 5, "mid", 0)
	if gone, err := s.Add(ticket(200, "high", 5), start); err != nil || len(gone) != 1 || gone[0].ID.Seq != 4 {
		t.Errorf("displaced %v with error %v, want the newest of the lowest band, number 4", gone, err)
	}
	if _, err := s.Add(ticket(300, "low", -1), start); !errors.Is(err, ErrFull) {
		t.Errorf("an arrival of the lowest band at a full buffer: %v, want ErrFull", err)
	}
	flood(s, 400, 20, "high", 5)
	if n := queued(s, "high"); n != 10 {
		t.Errorf("the high band holds %d of 10", n)
	}
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

// TestAgainstLedgerModel drives a Set through random events, with turns that
// may fail, and compares what a ledger would know with what the Set says stands.
func TestAgainstLedgerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(testConfig(12))
		ledger := map[policies.TicketID]bool{}
		next, now := 0, start
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
				if rapid.Bool().Draw(t, "full") {
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
				if len(ledger) != want {
					t.Fatalf("%d offers stand, the set says %d", len(ledger), want)
				}
			}
		}
	})
}

func TestCapsCountTheFleet(t *testing.T) {
	cfg := testConfig(10)
	cfg.MaxRequests = 15
	s := New(cfg)
	flood(s, 0, 1, "a", 0)
	s.Learn(0, 0, 0, 7, 70) // other replicas hold 7 of the band's 10
	s.Elsewhere(0, 0.1)     // no flow of theirs more than one
	if refused, _ := flood(s, 10, 5, "a", 0); refused != 3 {
		t.Errorf("%d of 5 were refused beside the 7 of others and 1 here, want 3", refused)
	}
	s.LearnOthers(12, 120) // and 12 of all bands' 15
	s.LowestElsewhere(0)
	if refused, displaced := flood(s, 100, 2, "b", 1); refused != 0 || displaced != 2 {
		t.Errorf("a higher band at the cap over all: %d refused, %d displaced; want 2 displaced", refused, displaced)
	}
}

// TestLargestElsewhereMakesRoom fills the buffer by a flow at another replica: what comes
// here is let in, up to a quarter more than the cap, and the other owner makes room.
func TestLargestElsewhereMakesRoom(t *testing.T) {
	here, there := New(testConfig(400)), New(testConfig(400))
	flood(there, 0, 400, "flood", 0)
	flood(here, 999, 1, "honest-0", 0)
	here.Learn(0, 0, 0, 400, 4000)
	if !here.NearlyFull() {
		t.Error("it is not time to ask what flows elsewhere hold")
	}
	for i := range 99 {
		if refused, displaced := flood(here, 1000+i, 1, fmt.Sprint("honest-", i%10), 0); refused+displaced > 0 {
			t.Fatalf("honest request %d: %d refused, %d displaced", i, refused, displaced)
		}
	}
	if refused, _ := flood(here, 2000, 1, "honest-0", 0); refused != 1 {
		t.Error("more than a quarter beyond the cap was let in")
	}
	there.Learn(0, 0, 0, 100, 1000)
	there.Elsewhere(0, here.Largest(0))
	trimmed := there.Trim(time.Time{})
	if len(trimmed) != 100 {
		t.Errorf("%d tickets made room, want 100", len(trimmed))
	}
	here.Learn(0, 0, 0, 300, 3000)
	here.Elsewhere(0, there.Largest(0))
	if trimmed := here.Trim(time.Time{}); len(trimmed) != 0 {
		t.Errorf("%d honest tickets were displaced", len(trimmed))
	}
}

// TestLowestBandElsewhereMakesRoom fills the buffer of all bands by a lower band at
// another replica.
func TestLowestBandElsewhereMakesRoom(t *testing.T) {
	cfg := testConfig(1000)
	cfg.MaxRequests = 30
	s := New(cfg)
	s.LearnOthers(30, 300)
	s.LowestElsewhere(-10)
	if refused, displaced := flood(s, 0, 8, "honest", 100); refused+displaced > 0 {
		t.Errorf("%d refused, %d displaced, though a lower band holds the buffer elsewhere", refused, displaced)
	}
	if trimmed := s.Trim(time.Time{}); len(trimmed) > 0 {
		t.Errorf("%d were displaced before the lower band", len(trimmed))
	}
	s.NobodyElsewhere()
	if refused, _ := flood(s, 100, 1, "honest", 100); refused != 1 {
		t.Error("let in beyond the cap with nobody to make room")
	}
}

// TestLoweredCapKeepsWhatWaits lowers a cap below what waits: only newcomers pay.
func TestLoweredCapKeepsWhatWaits(t *testing.T) {
	s := New(testConfig(100))
	flood(s, 0, 60, "a", 0)
	s = s.Rebuilt(testConfig(10), time.Time{})
	if trimmed := s.Trim(time.Time{}); len(trimmed) > 0 {
		t.Errorf("%d lost their places", len(trimmed))
	}
	if refused, displaced := flood(s, 100, 1, "b", 0); refused != 0 || displaced != 1 {
		t.Errorf("a newcomer: %d refused, %d displaced; want one for it", refused, displaced)
	}
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
