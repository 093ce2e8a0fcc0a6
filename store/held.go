package store

import (
	"context"
	"time"
)

// Holdings is implemented by a store of several pools' ledgers: it keeps what tenants hold in
// each pool, for those whose share is one over all pools. It works beside the turns, on what
// is no pool's own. It is safe for concurrent use.
type Holdings interface {
	// Exchange keeps each of the given holdings in place of the one before of the same pool and
	// replica, for HoldingKept at least, and returns those that are kept, in no order. One
	// without tenants is kept no longer.
	Exchange(ctx context.Context, put ...Holding) ([]Holding, error)
}

// Holding is what tenants hold of a pool by one replica.
type Holding struct {
	Pool    string `json:"pool"`
	Replica string `json:"replica"`
	// Number differs from one to the next of a pool and a replica: one that stays the same is
	// of a replica that is gone.
	Number uint64 `json:"number"`
	// Slots is how many slots each tenant holds, on average of late, by a name that is the same in
	// all pools.
	Slots map[string]float64 `json:"slots"`
}

// Bounds on holdings.
const (
	// HoldingKept is for how long one is kept that is not replaced.
	HoldingKept = time.Minute
	// MaxHolding is how many tenants one may have.
	MaxHolding = 1000
)
