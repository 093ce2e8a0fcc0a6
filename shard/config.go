package shard

import (
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
)

// Config tunes a Set.
type Config struct {
	// Shards is how many shards the flow keys are partitioned into; the same on
	// every replica. More spread ownership more evenly.
	Shards int
	// MaxRequests and MaxBytes cap what waits in all bands together, over the
	// fleet; 0 means no cap.
	MaxRequests, MaxBytes int64
	// Band returns a priority's configuration; it is asked once per band, and for the time
	// that each request may wait.
	Band func(priority int) BandConfig
	// Weight returns a flow's share, above zero; nil gives every flow 1.
	Weight func(policies.FlowKey) float64
	// Groups returns the groups that a flow is in, by its id, the outermost first; nil where
	// there are none. Where there are, every flow is in one.
	Groups func(id string) []Group
	// Maxima are those of groups, by their paths, and Guaranteed what groups have of the pool
	// at least while something in them waits, from 0 to 1.
	Maxima     map[string]Maximum
	Guaranteed map[string]float64
	// Limit returns a flow's own limits, by its id; nil gives none.
	Limit func(id string) Limit
	// OffersPerBand is how many tickets of a band are put before the ledger at most, and twice as
	// many where the ledger is far, see [Set.Widen]. More lets a turn grant more, and makes each
	// turn more expensive.
	OffersPerBand int
	// Idle is how long a flow, and then a band, is remembered once empty.
	Idle time.Duration
}

// Group is one of the groups that a flow is in.
type Group struct {
	// Path has the names of the groups that it is in, the outermost first, and its own,
	// with slashes between them.
	Path string
	// Weight is its share among its like, above zero.
	Weight float64
}

// GroupsOf returns the groups that a flow is in, in a band of that priority. Groups and flows
// are never compared with each other: where flows go by a rank, those of a group are in one
// of their own.
func (c Config) GroupsOf(key policies.FlowKey) []Group {
	if c.Groups == nil {
		return nil
	}
	groups := c.Groups(key.ID)
	if n := len(groups); n > 0 {
		if _, counts := c.Band(key.Priority).Fairness.(policies.CountingPolicy); !counts && !strings.HasSuffix(groups[n-1].Path, Others) {
			return append(slices.Clip(groups), Group{groups[n-1].Path + "/" + Others, 1})
		}
	}
	return groups
}

// Counts reports whether what is in flight in the group of that path is counted over the fleet:
// for a maximum, or for what it is guaranteed.
func (c Config) Counts(path string) bool { return c.Maxima[path].Any() || c.Guaranteed[path] > 0 }

// CountsAround reports whether what is in flight in a group that the flow is in is counted.
func (c Config) CountsAround(key policies.FlowKey) bool {
	return slices.ContainsFunc(c.GroupsOf(key), func(g Group) bool { return c.Counts(g.Path) })
}

// Before reports whether one of a flow's tickets goes before another of them: by its band's
// ordering policy, and by arrival where that sees no difference.
func (c Config) Before(a, b *Ticket) bool {
	return before(c.Band(a.Flow.Priority).Ordering, a, b)
}

// GroupOf returns the path of the innermost group of a flow; empty for none.
func (c Config) GroupOf(key policies.FlowKey) string {
	if groups := c.GroupsOf(key); len(groups) > 0 {
		return groups[len(groups)-1].Path
	}
	return ""
}

// Others is the name of the group of all flows that are in no other at that place.
const Others = "*"

// What may wait in a band where nothing else is said.
const (
	DefaultMaxRequests = 5000
	DefaultMaxBytes    = 1e9
)

// BandConfig configures one band.
type BandConfig struct {
	// MaxRequests and MaxBytes cap what waits in the band, over the fleet;
	// above zero.
	MaxRequests, MaxBytes int64
	// Fairness and Ordering choose within the band.
	Fairness policies.FairnessPolicy
	Ordering policies.OrderingPolicy
	// TTL is how long a request may wait while the pool has endpoints, 0 for no limit; nil
	// takes what holds for all bands.
	TTL *time.Duration
}

// Validate returns an error for a fairness policy that is of no single kind; see
// [policies.KindOf].
func (c BandConfig) Validate() error {
	_, err := policies.KindOf(c.Fairness)
	return err
}
