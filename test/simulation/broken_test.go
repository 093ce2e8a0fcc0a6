package simulation

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

func twoFlows(priority int) []Flow {
	return []Flow{
		{ID: "a", Weight: 1, Clients: 8, Replicas: []int{0, 1, 2}},
		{ID: "b", Weight: 1, Clients: 8, Replicas: []int{1}},
		{ID: "urgent", Priority: priority, Weight: 1, Clients: 1, Light: true, Replicas: []int{2}},
	}
}

// TestInvariantsCanBreak breaks the fleet on purpose, once for each invariant, and fails
// if the check of that invariant does not notice.
func TestInvariantsCanBreak(t *testing.T) {
	base := Config{Seed: 1, Replicas: 3, Shards: 32, Limit: 4, Length: 14 * time.Second, Service: 50 * time.Millisecond, Flows: twoFlows(10)}
	if _, err := Run(base); err != nil {
		t.Fatalf("unbroken: %v", err)
	}
	decisions, asks := 0, ""
	for _, tc := range []struct {
		invariant string
		broken    Break
		faults    []Fault
		cancel    float64
	}{
		{"authority", Break{Reply: func(r *store.Reply) { // a replica takes more float than it was given
			if r.FloatShare > 0 {
				r.Float++
			}
		}}, nil, 0},
		{"authority", Break{Statement: func(s *store.Statement) { // it hides what it keeps
			s.Float = 0
		}}, nil, 0},
		{"authority", Break{Statement: func(s *store.Statement) { // it hides what it has in flight
			for i := range s.Bands {
				s.Bands[i].InFlight = 0
			}
		}}, nil, 0},
		{"capacity", Break{Statement: func(s *store.Statement) { // the replicas believe in a higher limit
			for i := range s.Bands {
				s.Bands[i].Limit++
			}
		}}, nil, 0},
		{"capacity", Break{Statement: func(s *store.Statement) { // who stopped is taken for gone
			for i := range 3 {
				s.Ended = append(s.Ended, store.Run{Replica: nodeID(i), Incarnation: math.MaxUint64})
			}
		}}, []Fault{Stop}, 0},
		{"endpoint", Break{Statement: func(s *store.Statement) { // one endpoint seems to be empty
			for i := range s.Loads {
				if s.Loads[i].Endpoint == "x" {
					s.Loads[i].InFlight = min(s.Loads[i].InFlight, 0)
				}
			}
		}}, nil, 0},
		{"endpoint", Break{Reply: func(r *store.Reply) { // a replica takes more permits than it was given
			for i := range r.Permits {
				r.Permits[i].Permits += 4
			}
		}}, nil, 0},
		{"share", Break{Statement: func(s *store.Statement) { asks = s.Replica }, Reply: func(r *store.Reply) { // one is told that endpoints take more
			for i := range r.Loads {
				if asks == nodeID(2) {
					r.Loads[i].Capacity++
				}
			}
		}}, []Fault{Outage}, 0},
		{"reach", Break{Decision: func(d *core.Decision) bool { // what goes by float goes to an endpoint that is gone
			if d.ByFloat {
				d.Endpoint = "gone"
			}
			return false
		}}, nil, 0},
		{"one outcome", Break{Decision: func(d *core.Decision) bool { // a cancelled request is decided again
			return d.Outcome != core.Dispatched
		}}, nil, 0.2},
		{"no ticket lost", Break{Message: func(m *coordinator.Message) { // tickets vanish on the way
			m.Queued = nil
		}}, nil, 0},
		{"double dispatch", Break{Decision: func(d *core.Decision) bool { // every hundredth goes twice
			decisions++
			return d.Outcome == core.Dispatched && decisions%100 == 0
		}}, nil, 0},
		{"fairness", Break{Statement: func(s *store.Statement) { // a flow's service is not charged
			for i := range s.Offers {
				if s.Offers[i].Flow == "b" {
					s.Offers[i].Charge = 0
				}
			}
		}}, nil, 0},
		{"fairness", Break{Statement: func(s *store.Statement) { // a group is charged for half of its requests
			for i := range s.Groups {
				if s.Groups[i].Path == "two" {
					s.Groups[i].Weight = 2
				}
			}
		}}, nil, 0},
		{"maximum", Break{Statement: func(s *store.Statement) { // a replica hides what a group has in flight
			for i := range s.Limited {
				if s.Limited[i].Group != "" {
					s.Limited[i].InFlight = 0
				}
			}
		}}, nil, 0},
		{"maximum", Break{Statement: func(s *store.Statement) { // it says nothing of maxima
			s.Limited = nil
		}}, nil, 0},
		{"priority", Break{Request: func(q *core.Request) { // the highest goes last
			q.Flow.Priority = -q.Flow.Priority
		}}, nil, 0},
		{"guarantee", Break{Statement: func(s *store.Statement) { // a replica says nothing of what is guaranteed
			for i := range s.Bands {
				s.Bands[i].Guaranteed = 0
			}
		}}, nil, 0},
		{"group low lacks", Break{Statement: func(s *store.Statement) { // it says nothing of what groups are guaranteed
			for i := range s.Limited {
				s.Limited[i].Guaranteed = 0
			}
		}}, nil, 0},
		{"weights", Break{Statement: func(s *store.Statement) { // a replica says nothing of weights
			for i := range s.Bands {
				s.Bands[i].Weight = 0
			}
		}}, nil, 0},
		{"weights", Break{Statement: func(s *store.Statement) { // it has all weigh the same
			for i := range s.Bands {
				s.Bands[i].Weight = min(1, s.Bands[i].Weight)
			}
		}}, nil, 0},
		{"part by weight of what is not guaranteed", Break{Statement: func(s *store.Statement) { // it says nothing of them beside a guarantee
			for i := range s.Bands {
				s.Bands[i].Weight = 0
			}
		}}, nil, 0},
		{"work conserving", Break{Statement: func(s *store.Statement) { // a replica claims what it has not
			for i := range s.Bands {
				s.Bands[i].InFlight++
			}
		}}, nil, 0},
		{"spread", Break{Statement: func(s *store.Statement) { // all endpoints but one seem to be full
			for i := range s.Loads {
				if s.Loads[i].Endpoint != "y" {
					s.Loads[i].InFlight = 100
				}
			}
		}}, nil, 0},
		{"continuity", Break{Statement: func(s *store.Statement) { // a flow's standing is forgotten with a wipe
			if s.Register {
				s.Counters = nil
				for i := range s.Offers {
					if s.Offers[i].Flow == "b" {
						s.Offers[i].Rank = 0
					}
				}
			}
		}}, []Fault{Wipe}, 0},
	} {
		t.Run(tc.invariant, func(t *testing.T) {
			cfg := base
			if tc.invariant == "no ticket lost" || tc.invariant == "work conserving" {
				cfg.Flows = cfg.Flows[:2] // the urgent one is missed first
			}
			if tc.invariant == "authority" || tc.invariant == "reach" { // there is float while not much is wanted
				cfg.Limit = 12
				cfg.Flows = append(cfg.Flows[2:], Flow{ID: "light", Weight: 1, Clients: 12, Light: true, Replicas: []int{0, 1, 2}})
			}
			if cfg.Bounded = tc.invariant == "endpoint"; cfg.Bounded && tc.broken.Reply != nil { // there are permits while not much is wanted
				cfg.Limit = 12
				cfg.Flows = []Flow{{ID: "light", Weight: 1, Clients: 10, Light: true, Replicas: []int{0, 1, 2}}}
			}
			if tc.invariant == "share" || tc.invariant == "reach" {
				cfg.Bounded, cfg.Limit = true, 7
			}
			if slices.Contains(tc.faults, Stop) {
				cfg.Service, cfg.Length, cfg.Flows = 4*time.Second, 30*time.Second, cfg.Flows[:2]
			}
			if tc.invariant == "guarantee" {
				cfg.Guaranteed = map[int]float64{-1: 0.3}
				cfg.Flows = append(cfg.Flows, Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}})
			}
			if tc.invariant == "weights" {
				cfg.Weights = map[int]float64{0: 3, -1: 1}
				cfg.Flows = append(slices.Clone(cfg.Flows), Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}})
			}
			if strings.Contains(tc.invariant, "by weight") {
				cfg.Weights, cfg.Guaranteed = map[int]float64{0: 1, -1: 3}, map[int]float64{-1: 0.1}
				cfg.Flows = append(slices.Clone(cfg.Flows), Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}})
			}
			if tc.invariant == "group low lacks" {
				cfg.Floors, cfg.Groups = map[string]float64{"low": 0.3}, map[string]float64{"low": 1, shard.Others: 1}
				cfg.Flows = append(slices.Clone(cfg.Flows), Flow{ID: "low", Priority: -1, Weight: 1, Clients: 8, Replicas: []int{0, 2}, Group: "low"})
				for i := range cfg.Flows[:len(cfg.Flows)-1] {
					cfg.Flows[i].Group = shard.Others
				}
			}
			if tc.invariant == "maximum" {
				cfg.Maxima = map[string]shard.Maximum{"one": {Part: 0.5}}
			}
			if tc.invariant == "fairness" || tc.invariant == "maximum" {
				cfg.Groups = map[string]float64{"one": 1, "two": 1, shard.Others: 1}
				cfg.Flows = slices.Clone(cfg.Flows)
				cfg.Flows[0].Group, cfg.Flows[1].Group, cfg.Flows[2].Group = "one", "two", shard.Others
			}
			if tc.invariant == "spread" {
				cfg.Limit = 12 // so that a few requests make no difference
			}
			cfg.Break, cfg.Faults, cfg.Cancel = tc.broken, tc.faults, tc.cancel
			_, err := Run(cfg)
			if !errors.Is(err, ErrInvariant) || !strings.Contains(err.Error(), tc.invariant) {
				t.Errorf("got %v, want %s broken", err, tc.invariant)
			}
		})
	}
}
