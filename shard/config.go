package shard

import (
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
	// Limit returns a flow's own limits, by its id; nil gives none.
	Limit func(id string) Limit
	// OffersPerBand is how many tickets of a band are put before the ledger at
	// most. More lets a turn grant more, and makes each turn more expensive.
	OffersPerBand int
	// Idle is how long a flow, and then a band, is remembered once empty.
	Idle time.Duration
}

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
