package core_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// TestTranscripts runs the scripts in testdata: events go into a core, what its
// Ready hands out is printed. Turns reach the memory ledger, and messages the other
// core, only when the script says so. The commands are documented in
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, s.run)
	})
}

// script is a transcript under way.
type script struct {
	ledger     *memory.Ledger
	now, began time.Time
	cfg        core.Config
	limits     map[string]shard.Limit // of flows, by their ids
	guaranteed map[int]float64        // to priorities
	floors     map[string]float64     // to groups
	maxima     map[string]shard.Maximum
	weights    map[int]float64       // of priorities beside others
	band       shard.BandConfig      // of every priority
	replicas   []*replica            // "me" is the first
	network    []coordinator.Message // between the replicas, oldest first
}

// replica is one core of a script.
type replica struct {
	id      string
	core    *core.Core
	turn    *store.Statement // under way, or nil
	may     string           // what it may do, as it last said
	wakeups <-chan store.Wakeup
}

func newScript(t *testing.T) *script {
	t.Helper()
	s := &script{began: time.Unix(1_800_000_000, 0), limits: make(map[string]shard.Limit), guaranteed: make(map[int]float64), floors: make(map[string]float64), maxima: make(map[string]shard.Maximum), weights: make(map[int]float64)}
	s.now = s.began
	s.ledger = memory.New(memory.Config{Clock: func() time.Time { return s.now }})
	static, err := usagelimit.NewStatic("static", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.band = shard.BandConfig{
		MaxRequests: 6, MaxBytes: 1e9,
		Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs"),
	}
	timings := core.DefaultTimings(3 * time.Second)
	timings.FloatLeast = 0       // requests are short here
	timings.HolderKnownAfter = 0 // all others know this replica
	s.cfg = core.Config{
		Incarnation: 1,
		UsageLimit:  static, TTL: 10 * time.Second, NoEndpointTTL: 2 * time.Second,
		Timings: timings,
	}
	s.start(t, "me")
	return s
}

// config is a replica's configuration as it is now.
func (s *script) config(id string) core.Config {
	cfg, band, limits := s.cfg, s.band, maps.Clone(s.limits)
	cfg.Replica = id
	guaranteed := maps.Clone(s.guaranteed)
	cfg.Guaranteed = func(priority int) float64 { return guaranteed[priority] }
	weights := maps.Clone(s.weights)
	cfg.BandWeight = func(priority int) float64 { return weights[priority] }
	cfg.Shard = shard.Config{
		Shards: 256, OffersPerBand: 4, Idle: time.Minute,
		Band:  func(int) shard.BandConfig { return band },
		Limit: func(id string) shard.Limit { return limits[id] },
	}
	if floors, maxima := maps.Clone(s.floors), maps.Clone(s.maxima); len(floors)+len(maxima) > 0 {
		cfg.Shard.Guaranteed, cfg.Shard.Maxima = floors, maxima
		cfg.Shard.Groups = func(id string) []shard.Group {
			if group, _, found := strings.Cut(id, "/"); found {
				return []shard.Group{{Path: group, Weight: 1}}
			}
			return []shard.Group{{Path: shard.Others, Weight: 1}}
		}
	}
	return cfg
}

// start begins a core, anew if there is one of the id.
func (s *script) start(t *testing.T, id string) *replica {
	r := s.find(id)
	if r == nil {
		r = &replica{id: id, wakeups: s.ledger.Wakeups(t.Context(), id)}
		s.replicas = append(s.replicas, r)
	}
	r.core = core.New(s.config(id))
	return r
}

// find returns the replica of the id, or nil.
func (s *script) find(id string) *replica {
	for _, r := range s.replicas {
		if r.id == id {
			return r
		}
	}
	return nil
}

// take takes the turn under way to the ledger.
func (s *script) take(t *testing.T, r *replica) (*store.Reply, error) {
	t.Helper()
	return s.ledger.Turn(context.Background(), s.end(t, r))
}

// end is the turn under way, which is over.
func (s *script) end(t *testing.T, r *replica) *store.Statement {
	t.Helper()
	if r.turn == nil {
		t.Fatal("no turn is under way")
	}
	turn := r.turn
	r.turn = nil
	return turn
}

// ready hands out what there is to do at a replica, and prints it. Lines of others
// than "me" begin with their names.
func (s *script) ready(r *replica) string {
	ready := r.core.Ready(s.now)
	if part := r.core.Reused(); part != "" {
		return part + " has a request that is kept for another\n"
	}
	for i := range ready.Messages {
		if s.find(ready.Messages[i].To) != nil {
			s.network = append(s.network, ready.Messages[i])
		}
	}
	if ready.Turn != nil {
		r.turn = ready.Turn
	}
	out := printed(&ready)
	if may := printedEnd(&ready); may != r.may {
		out, r.may = out+may, may
	}
	if out == "" {
		out = fmt.Sprintf("nothing until +%v\n", r.core.Next(s.now).Sub(s.began))
	}
	if r.id == "me" {
		return out
	}
	return r.id + ": " + strings.ReplaceAll(strings.TrimSuffix(out, "\n"), "\n", "\n"+r.id+": ") + "\n"
}
