package core

import "github.com/weirflow/weir/store"

// Obstacle is what stands in the way of a request when it comes. A request may wait for
// other things later on; see [shard.Place] for what holds it now.
type Obstacle int

// The obstacles.
const (
	// NoObstacle: only the ledger's answer was waited for.
	NoObstacle Obstacle = iota
	// PoolFull: as many requests are in flight as its priority may have.
	PoolFull
	// FlowLimit: there is room in the pool, and its flow has a limit of its own.
	FlowLimit
	// GroupMaximum: there is room in the pool, and it is in a group with a maximum.
	GroupMaximum
	// NoEndpoints: the pool has no endpoint that can be used.
	NoEndpoints
	// LedgerLost: this replica dispatches by itself, within its share of the limit.
	LedgerLost
)

var obstacleNames = [...]string{"", "pool", "flow_limit", "group_maximum", "endpoints", "ledger"}

// String returns the obstacle's name, as in logs; empty for none.
func (o Obstacle) String() string { return obstacleNames[o] }

// obstacle is what stands in a new request's way.
func (c *Core) obstacle(r *request) Obstacle {
	ceiling := c.bands.of(r.arrived, r.Flow.Priority).Capacity().Ceiling
	switch {
	case c.bands.pool.Endpoints == 0:
		return NoEndpoints
	case c.exchange.outage:
		return LedgerLost
	case ceiling >= 0 && ceiling < store.Unlimited && c.InFlight() >= ceiling:
		return PoolFull
	case c.limits.bind(r.Flow):
		return FlowLimit
	case c.maxima.bind(r.Flow):
		return GroupMaximum
	}
	return NoObstacle
}
