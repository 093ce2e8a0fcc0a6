package simulation

import (
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Config describes a run.
type Config struct {
	Seed     uint64
	Replicas int
	Shards   int
	Limit    int64
	Length   time.Duration // of simulated time
	// Service is how long a request takes at the model servers, on average.
	Service time.Duration
	// TurnCost is how long a turn occupies the ledger; others wait meanwhile.
	TurnCost time.Duration
	// RoundTrip is what a turn takes beside; a wake-up takes half of it.
	RoundTrip time.Duration
	// FirstFar is the same for the first replica, if it is further from the ledger.
	FirstFar time.Duration
	// FullPause is the cores'.
	FullPause time.Duration
	// Flows are always backlogged, but for the Light ones; each is fed at the
	// replicas it names.
	Flows []Flow
	// Guaranteed is what priorities are guaranteed of the pool while their requests wait.
	Guaranteed map[int]float64
	// Weights are those of priorities that share the pool by weights; none between them is
	// without one.
	Weights map[int]float64
	// Floors are what groups are guaranteed of it, by their paths.
	Floors map[string]float64
	// Groups has the weights of groups that share a band, by their paths; a group comes with
	// those that it is in. Where there are any, all flows are in one.
	Groups map[string]float64
	// Maxima are what groups may have in flight.
	Maxima map[string]shard.Maximum
	// Faults happen once each, at times that the seed draws.
	Faults []Fault
	// Loss is the chance that a turn's request, its reply or a wake-up is lost,
	// MessageLoss that a message between replicas is lost, comes twice or late.
	Loss, MessageLoss float64
	// Late: turns whose request is lost reach the ledger all the same, when their replicas have given
	// them up and may have taken others.
	Late bool
	// ByTime: flows are compared by the time for which they have slots, and not by requests.
	ByTime bool
	// Hold: replicas let nothing go while they have lost the ledger.
	Hold bool
	// Drift is how much the replicas' clocks differ.
	Drift bool
	// Cancel is the chance that a client hangs up while it waits.
	Cancel float64
	// Fresh is how many requests come under ids that were never seen, one under each, for
	// every request that the pool can take.
	Fresh float64
	// Apart: the replicas do not gossip, and each knows of the others by the ledger alone.
	Apart bool
	// Ledger opens a ledger that goes by that clock; without it there is one in memory, which
	// alone can be rolled back.
	Ledger func(clock func() time.Time) Ledger
	// Damage is what the fault of that name does to what the ledger keeps, the first time and
	// again. It returns what it did; nothing if there was nothing to damage yet.
	Damage func(rng *rand.Rand, again bool) string
	// Bounded: each endpoint takes a part of Limit, and no more; Limit is at least 3. Reach
	// names those that a replica reaches, by its number; nil for all.
	Bounded bool
	Reach   map[int][]string
	// One: the pool has one endpoint, which is not bounded itself.
	One bool
	// Evict: requests of negative priorities are revoked for higher ones that wait.
	Evict bool
	// Tokens: the ledger counts what requests at the endpoints cost, too.
	Tokens bool
	// Break breaks the fleet on purpose.
	Break Break
}

// Ledger is one that may forget everything.
type Ledger interface {
	store.Ledger
	Wipe()
}

// Flow is one tenant's traffic.
type Flow struct {
	ID       string
	Group    string // the path of its group, where there are groups
	Priority int
	Weight   float64
	Clients  int // that keep a request going, at each of its replicas
	Replicas []int
	// Most is how many of its requests may be in flight; 0 for no limit of its own.
	Most int64
	// Light: its clients rest between requests, so that it wants less than its
	// share.
	Light bool
	// Longer is how many times as long as those of others its requests take; 0 for as long.
	Longer float64
	// Once: its client asks once.
	Once bool
	// Tide: they come all at once, every other second.
	Tide bool
}
