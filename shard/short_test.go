package shard

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
)

// offeredOf refills and takes the offers as stated; it counts those that stand by ingress.
func offeredOf(s *Set) map[string]int {
	s.Refill()
	s.Changes(func(Offer) {}, func(policies.TicketID) {})
	s.Answered()
	stand := make(map[string]int)
	for it := range s.items.All() {
		if it.offered {
			stand[it.ID.Ingress]++
		}
	}
	return stand
}

// from returns ticket n of a flow that came in by an ingress.
func from(ingress string, n int, flow string) Ticket {
	t := ticket(n, flow, 0)
	t.ID.Ingress = ingress
	return t
}

// TestShort has a few tickets offered of an ingress that is short of room, those of the flow
// served least first, and the other ingresses' in the places it leaves.
func TestShort(t *testing.T) {
	cfg := testConfig(1000)
	cfg.OffersPerBand = 32
	s := New(cfg)
	for n := range 40 {
		if _, err := s.Add(from("few", n, "a"), start); err != nil {
			t.Fatal(err)
		}
	}
	if stand := offeredOf(s); stand["few"] != 32 {
		t.Fatalf("%v stand, want all places", stand)
	}
	s.Short([]string{"few"})
	for n := range 40 {
		if _, err := s.Add(from("all", 100+n, "b"), start); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Add(from("few", 200, "c"), start); err != nil {
		t.Fatal(err)
	}
	if stand := offeredOf(s); stand["few"] != 4 || stand["all"] != 32 {
		t.Fatalf("%v stand, want 4 of the one that is short and 32 of the other", stand)
	}
	s.Taken(policies.TicketID{Ingress: "few", Seq: 0}, 1, start)
	if it := s.queued(policies.TicketID{Ingress: "few", Seq: 200}); it.aside {
		t.Error("the flow that was served least does not take the place that is free")
	}
	if place, ok := s.Place(policies.TicketID{Ingress: "few", Seq: 39}); !ok || place.Ahead == 0 {
		t.Errorf("the place of a ticket that is set aside: %+v, %v", place, ok)
	}
	s.Short(nil)
	if stand := offeredOf(s); stand["few"]+stand["all"] != 32 || stand["few"] < 10 {
		t.Errorf("%v stand once nobody is short, want a fair part of 32", stand)
	}
}

// TestManyShort has so many ingresses short of room that the few tickets of each would take
// all places: they take none of the others'.
func TestManyShort(t *testing.T) {
	cfg := testConfig(1000)
	cfg.OffersPerBand = 32
	s := New(cfg)
	var short []string
	for i := range 20 {
		short = append(short, fmt.Sprint("few-", i))
		for n := range 10 {
			if _, err := s.Add(from(short[i], n, "a"), start); err != nil {
				t.Fatal(err)
			}
		}
	}
	offeredOf(s)
	s.Short(short)
	for n := range 40 {
		if _, err := s.Add(from("all", 100+n, "a"), start); err != nil {
			t.Fatal(err)
		}
	}
	if stand := offeredOf(s); stand["all"] != 32 || stand["few-0"] != 4 || stand["few-19"] != 4 {
		t.Fatalf("%v stand, want 32 of the one that is not short and 4 of each other", stand)
	}
}

// TestShortOfAFlowAtItsLimit has a flow that may offer nothing, or less than a few: its
// tickets take no place among the few of an ingress that is short of room.
func TestShortOfAFlowAtItsLimit(t *testing.T) {
	for room := range int64(3) {
		cfg := testConfig(1000)
		cfg.OffersPerBand = 32
		cfg.Limit = func(id string) Limit {
			if id == "limited" {
				return Limit{MaxInFlight: 1}
			}
			return Limit{}
		}
		s := New(cfg)
		for n := range 10 {
			for i, flow := range []string{"limited", "free"} {
				if _, err := s.Add(from("few", 100*i+n, flow), start); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Room("limited", room, 1, start)
		s.Short([]string{"few"})
		stand := func() (limited, free int) {
			offeredOf(s)
			for it := range s.items.All() {
				switch {
				case it.offered && it.flow.key.ID == "limited":
					limited++
				case it.offered:
					free++
				}
			}
			return limited, free
		}
		if limited, free := stand(); limited != int(room) || free != 4-int(room) {
			t.Errorf("with room for %d of the one flow, %d of it stand and %d of the other, want all of 4 places taken", room, limited, free)
		}
		s.Room("limited", 10, 1, start)
		for n := range 4 {
			s.Taken(policies.TicketID{Ingress: "few", Seq: uint64(100 + n)}, float64(10+n), start)
		}
		if limited, _ := stand(); limited != 4 {
			t.Errorf("once there is room again, %d of it stand, want 4: the other was served more", limited)
		}
	}
}

// TestShortOfAGroupAtItsMaximum has groups at their maximum, whose offers stand and are not
// granted: they take no place among the few of an ingress that is short of room while others
// could go, and all of them where none could.
func TestShortOfAGroupAtItsMaximum(t *testing.T) {
	for _, shortBefore := range []bool{true, false} {
		cfg := testConfig(1000)
		cfg.OffersPerBand = 32
		cfg.Groups = func(id string) []Group { return []Group{{Path: id, Weight: 1}} }
		cfg.Maxima = map[string]Maximum{"full": {Requests: 1}, "full too": {Requests: 1}}
		s := New(cfg)
		if shortBefore {
			s.Short([]string{"few"})
		}
		add := func(flow string, first, n int) {
			for i := range n {
				if _, err := s.Add(from("few", first+i, flow), start); err != nil {
					t.Fatal(err)
				}
			}
		}
		add("full", 0, 10)
		add("full too", 100, 10)
		s.Short([]string{"few"})
		stand := func() map[string]int {
			offeredOf(s)
			by := map[string]int{}
			for it := range s.items.All() {
				if it.offered {
					by[it.flow.key.ID]++
				}
			}
			return by
		}
		s.GroupRoom("full", 0)
		s.GroupRoom("full too", 0)
		if by := stand(); by["full"]+by["full too"] != 4 {
			t.Errorf("%v stand where all groups are at their maximum, want 4", by)
		}
		add("free", 200, 3)
		if by := stand(); by["free"] != 3 || by["full"]+by["full too"] != 1 {
			t.Errorf("%v stand, want 3 of the group that has room and one of those at their maximum", by)
		}
		s.GroupRoom("full", 3)
		for i := range 3 {
			s.Taken(policies.TicketID{Ingress: "few", Seq: uint64(200 + i)}, float64(10+i), start)
		}
		if by := stand(); by["full"] != 4 {
			t.Errorf("%v stand once the one group has room, want 4 of it", by)
		}
	}
}

// TestRejectsWhatIsSetAside refuses all tickets of a flow at its limit, also those of an
// ingress that is short of room.
func TestRejectsWhatIsSetAside(t *testing.T) {
	cfg := testConfig(1000)
	cfg.Limit = func(string) Limit { return Limit{MaxInFlight: 1, Reject: true} }
	s := New(cfg)
	s.Short([]string{"few"})
	for n := range 10 {
		if _, err := s.Add(from("few", n, "a"), start); err != nil {
			t.Fatal(err)
		}
	}
	offeredOf(s)
	if rejected := s.Room("a", 0, 1, start); len(rejected) != 10 || s.Len() != 0 {
		t.Errorf("%d of ten were rejected, %d are left", len(rejected), s.Len())
	}
}

// TestShortLosesNobody draws what happens to tickets while ingresses are short of room and
// not: none is lost, and no more than a few of theirs stand.
func TestShortLosesNobody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(1000)
		cfg.OffersPerBand = rapid.SampledFrom([]int{4, 32, 64}).Draw(rt, "offers")
		cfg.Limit = func(id string) Limit {
			if id == "0" {
				return Limit{MaxInFlight: 9}
			}
			return Limit{}
		}
		if rapid.Bool().Draw(rt, "groups") {
			cfg.Groups = func(id string) []Group {
				if id < "2" {
					return []Group{{Path: "g", Weight: 1}}
				}
				return []Group{{Path: "h", Weight: 1}}
			}
			cfg.Maxima = map[string]Maximum{"g": {Requests: 3}}
		}
		s := New(cfg)
		short := map[string]bool{}
		present := map[policies.TicketID]bool{}
		pick := func() (policies.TicketID, bool) {
			for n := range 400 {
				for _, ingress := range []string{"x", "y"} {
					if id := (policies.TicketID{Ingress: ingress, Seq: uint64(n)}); present[id] && rapid.IntRange(0, 3).Draw(rt, "this") == 0 {
						return id, true
					}
				}
			}
			return policies.TicketID{}, false
		}
		for n := range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				var ids []string
				for _, ingress := range []string{"x", "y"} {
					if short[ingress] = rapid.Bool().Draw(rt, "short"); short[ingress] {
						ids = append(ids, ingress)
					}
				}
				s.Short(ids)
			case 1:
				if id, ok := pick(); ok {
					s.Remove(id, start)
					delete(present, id)
				}
			case 2:
				if id, ok := pick(); ok && s.queued(id).offered {
					s.Taken(id, float64(n), start)
					delete(present, id)
				}
			case 3:
				s = s.Rebuilt(cfg, start)
				clear(short)
			case 4:
				s.Room("0", int64(rapid.IntRange(0, 5).Draw(rt, "room")), 1, start)
			case 5:
				s.GroupRoom("g", int64(rapid.IntRange(0, 3).Draw(rt, "group")))
			default:
				it := from(rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "ingress"), n, fmt.Sprint(rapid.IntRange(0, 3).Draw(rt, "flow")))
				if _, err := s.Add(it, start); err != nil {
					rt.Fatal(err)
				}
				present[it.ID] = true
			}
			stand := offeredOf(s)
			for ingress, is := range short {
				if is && stand[ingress] > s.few() {
					rt.Fatalf("%d of %s stand, which is short", stand[ingress], ingress)
				}
			}
			if s.items.Len() != len(present) {
				rt.Fatalf("%d tickets are there, want %d", s.items.Len(), len(present))
			}
		}
		for range len(present) { // whoever is short or not: each turn of one comes
			s.Room("0", 1, 1, start)
			s.GroupRoom("g", 1)
			s.Refill()
			bd, _ := s.Band(0)
			if !bd.Waits("") {
				rt.Fatalf("%d tickets wait, and none is offered", s.items.Len())
			}
			best, _ := bd.Best("")
			s.Dispatched(best.ID, start)
		}
		if s.items.Len() != 0 {
			rt.Fatalf("%d tickets are left", s.items.Len())
		}
	})
}

// TestShortLeavesRoom has tickets of ingresses that are short of room stand first in a group with a
// maximum, or in a flow with a limit, that has room for one: those of another ingress are offered
// beside them, or nobody would go where there is an endpoint with room.
func TestShortLeavesRoom(t *testing.T) {
	cfg := inGroups(32, map[string]float64{"a": 1, "b": 1})
	cfg.Maxima = map[string]Maximum{"a": {Requests: 6}}
	cfg.Limit = func(id string) Limit {
		if id == "b/f" {
			return Limit{MaxInFlight: 6}
		}
		return Limit{}
	}
	for _, flow := range []string{"a/f", "b/f"} {
		s := New(cfg)
		s.Short([]string{"few-1", "few-2", "few-3"})
		for n := range 60 {
			ingress := fmt.Sprint("few-", 1+n%3)
			if n >= 40 {
				ingress = "all"
			}
			s.Add(from(ingress, n, flow), start)
		}
		for _, room := range []int64{1, 3} {
			s.GroupRoom("a", room)
			s.Room("b/f", room, 1, start)
			if stand := offeredOf(s); len(stand) == 1 || stand["all"] == 0 {
				t.Errorf("%s, room for %d: %v stand, want some of both", flow, room, stand)
			}
		}
		s.GroupRoom("a", 0)
		s.Room("b/f", 0, 1, start)
		if stand := offeredOf(s); flow == "b/f" && len(stand) > 0 {
			t.Errorf("%s, room for none: %v stand", flow, stand)
		}
	}
}
