package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
)

// inGroups is a configuration in which flows are in the groups that their ids begin with.
func inGroups(perBand int, weights map[string]float64) Config {
	cfg := testConfig(100)
	cfg.OffersPerBand = perBand
	cfg.Groups = func(id string) (groups []Group) {
		for i := range id {
			if id[i] == '/' {
				groups = append(groups, Group{id[:i], weights[id[:i]]})
			}
		}
		return groups
	}
	return cfg
}

// class is a group or a flow of a model that finds the next by looking at all.
type class struct {
	path   string
	weight float64
	served float64
	in     []*class
	queue  []policies.TicketID // of a flow
}

func (c *class) waits() bool {
	return len(c.queue) > 0 || slices.ContainsFunc(c.in, (*class).waits)
}

// next takes the ticket that goes next out of the class.
func (c *class) next() policies.TicketID {
	if len(c.queue) > 0 {
		id := c.queue[0]
		c.queue = c.queue[1:]
		return id
	}
	var first *class
	for _, in := range c.in {
		if in.waits() && (first == nil || in.served < first.served) {
			first = in
		}
	}
	id := first.next()
	first.served += 1 / first.weight
	return id
}

// TestOffersTheFirstOfAllGroups queues tickets of flows in groups at random, serves some,
// and wants those on offer that a search through everything finds to be the first.
func TestOffersTheFirstOfAllGroups(t *testing.T) {
	flows := []string{"a/x/f", "a/x/g", "a/y/f", "b/f", "b/g", "c/f"}
	rapid.Check(t, func(t *rapid.T) {
		weights := map[string]float64{"a": 3, "a/x": 1, "a/y": 2, "b": 1, "c": rapid.SampledFrom([]float64{1, 2}).Draw(t, "weight of c")}
		s := New(inGroups(rapid.IntRange(1, 6).Draw(t, "offers"), weights))
		queues := make(map[string][]policies.TicketID)
		served := make(map[string]float64)
		seq := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			flow := rapid.SampledFrom(flows).Draw(t, "flow")
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				seq++
				id := policies.TicketID{Ingress: "i", Seq: uint64(seq)}
				s.Add(Ticket{ID: id, Flow: policies.FlowKey{ID: flow}, Bytes: 1, Arrival: time.Unix(int64(seq), 0), Waited: true}, time.Time{})
				queues[flow] = append(queues[flow], id)
			case 2:
				if len(queues[flow]) == 0 {
					continue
				}
				at := rapid.IntRange(0, len(queues[flow])-1).Draw(t, "which")
				s.Remove(queues[flow][at], time.Time{})
				queues[flow] = slices.Delete(queues[flow], at, at+1)
			case 3: // the ledger granted its first
				if len(queues[flow]) == 0 {
					continue
				}
				served[flow]++
				s.Taken(queues[flow][0], served[flow], time.Time{})
				queues[flow] = queues[flow][1:]
				for i := range flow {
					if flow[i] == '/' {
						served[flow[:i]] += 1 / weights[flow[:i]]
					}
				}
			}
			s.Refill()
			check(t, s, flows, weights, queues, served)
		}
	})
}

// check compares what is offered with what goes first.
func check(t *rapid.T, s *Set, flows []string, weights map[string]float64, queues map[string][]policies.TicketID, served map[string]float64) {
	top, classes, waiting := &class{}, map[string]*class{}, 0
	var at func(path string) *class
	at = func(path string) *class {
		if path == "" {
			return top
		}
		if classes[path] == nil {
			c := &class{path: path, weight: weights[path], served: served[path]}
			if c.weight == 0 {
				c.weight = 1 // a flow
			}
			outer := at(path[:max(0, strings.LastIndexByte(path, '/'))])
			outer.in = append(outer.in, c)
			classes[path] = c
		}
		return classes[path]
	}
	for _, flow := range flows {
		at(flow).queue = slices.Clone(queues[flow])
		waiting += len(queues[flow])
	}
	// Of equals any may be on offer, so it is what groups were served that is compared.
	count := func(offered []policies.TicketID) string {
		per := map[string]int{}
		for _, id := range offered {
			f := s.queued(id).flow
			per[f.group.Path]++
		}
		return fmt.Sprint(per)
	}
	var want, got []policies.TicketID
	for range min(waiting, s.cfg.OffersPerBand) {
		want = append(want, top.next())
	}
	for it := range s.bands[0].top.standing() {
		got = append(got, it.ID)
	}
	if len(got) != len(want) {
		t.Fatalf("%d tickets are on offer, want %d", len(got), len(want))
	}
	if count(got) != count(want) && worth(s, got, served, weights) != worth(s, want, served, weights) {
		t.Fatalf("on offer by group: %s, want %s", count(got), count(want))
	}
}

// worth is where the offers stand among the outermost groups, in their order.
func worth(s *Set, ids []policies.TicketID, served, weights map[string]float64) string {
	at, n := []float64{}, map[string]float64{}
	for _, id := range ids {
		outer, _, _ := strings.Cut(s.queued(id).flow.key.ID, "/")
		at = append(at, served[outer]+n[outer]/weights[outer])
		n[outer]++
	}
	slices.Sort(at)
	return fmt.Sprintf("%.6f", at)
}

// TestGroupsKeepTheirStanding reloads another weight and another shape of the groups.
func TestGroupsKeepTheirStanding(t *testing.T) {
	s := New(inGroups(1, map[string]float64{"a": 1, "b": 1}))
	for n, flow := range []string{"a/f", "b/f"} {
		s.Add(Ticket{ID: policies.TicketID{Seq: uint64(n)}, Flow: policies.FlowKey{ID: flow}, Bytes: 1, Arrival: time.Unix(int64(n), 0)}, time.Time{})
	}
	s.LearnGroup(GroupStanding{Group: Group{Path: "a"}, Counter: 5, Known: true})
	s.LearnGroup(GroupStanding{Group: Group{Path: "b"}, Counter: 1, Known: true})
	for _, weight := range []float64{1, 4} {
		s = s.Rebuilt(inGroups(1, map[string]float64{"a": weight, "b": 1}), time.Time{})
		s.Refill()
		s.Changes(func(o Offer) {
			if o.Group != "b" {
				t.Errorf("a ticket of group %s is first", o.Group)
			}
		}, func(policies.TicketID) {})
		if g := s.Standing(0, Group{Path: "a"}); g.Counter != 5 || g.Weight != weight {
			t.Errorf("after a reload a stands at %+v", g)
		}
	}
}

// TestFlowsAreSeenBesideTheirGroup: where a flow stands is told by the virtual time of what it
// is compared with.
func TestFlowsAreSeenBesideTheirGroup(t *testing.T) {
	cfg := testConfig(100)
	cfg.Groups = func(id string) []Group { return []Group{{Path: id, Weight: 1}} }
	s := New(cfg)
	flood(s, 0, 1, "a", 0)
	s.Learn(0, 100, 100, 0, 0)
	s.LearnGroup(GroupStanding{Group: Group{Path: "a"}, Counter: 100, Known: true, VirtualTime: 7, Level: 8})
	if flows := s.Flows(); len(flows) != 1 || flows[0].VirtualTime != 7 {
		t.Errorf("%+v; want V of its group, 7, and not the band's", flows)
	}
}
