package demo

import (
	"fmt"
	"strconv"
	"time"
)

// Config describes a demonstration.
type Config struct {
	// Replicas is how many serve at once.
	Replicas int
	// Duration is how long the load runs in all, half of it each way.
	Duration time.Duration
	// Chaos injects faults while the load runs: a replica is killed and restarted,
	// the gossip cut, the store wiped. The run with the limit divided is left out.
	Chaos bool
	// RedisURL is the Redis that keeps the shared ledger; empty for one that is
	// embedded in the process.
	RedisURL string
	// Servers is the number of model servers and Concurrency how many requests
	// each takes; their product is the pool's limit.
	Servers, Concurrency int
	// Tenants is the load.
	Tenants []Tenant
}

// Tenant is one tenant's load.
type Tenant struct {
	// ID is the flow and Weight its share.
	ID     string
	Weight float64
	// Clients is how many requests at a time it has at each of its replicas.
	Clients int
	// Replicas are the ones its traffic comes in by; empty means all.
	Replicas []int
	// Pause is how long each client rests between two requests. A tenant that
	// rests wants less than its share.
	Pause time.Duration
	// Tokens is the length of its answers.
	Tokens int
}

// DefaultConfig is a pool of limit 8 and seven tenants: one that comes in by
// every replica, five that are pinned to one replica each, three of those to
// the same, and a light one that wants less than its share.
func DefaultConfig() Config {
	return Config{
		Replicas: 3, Duration: 30 * time.Second, Servers: 2, Concurrency: 4,
		Tenants: []Tenant{
			{ID: "everywhere", Weight: 1, Clients: 12, Tokens: 16},
			{ID: "pinned-1a", Weight: 1, Clients: 12, Replicas: []int{0}, Tokens: 16},
			{ID: "pinned-1b", Weight: 1, Clients: 12, Replicas: []int{0}, Tokens: 16},
			{ID: "pinned-1c", Weight: 1, Clients: 24, Replicas: []int{0}, Tokens: 16},
			{ID: "pinned-2", Weight: 1, Clients: 12, Replicas: []int{1}, Tokens: 16},
			{ID: "pinned-3", Weight: 1, Clients: 12, Replicas: []int{2}, Tokens: 16},
			{ID: "light", Weight: 1, Clients: 1, Replicas: []int{0}, Pause: 250 * time.Millisecond, Tokens: 16},
		},
	}
}

// Validate reports the first field that is out of range, by the flag of weir demo that
// sets it.
func (c Config) Validate() error {
	switch {
	case c.Replicas < 1 || c.Replicas > 32:
		return fmt.Errorf(`--replicas "%d": must be from 1 to 32`, c.Replicas)
	case c.Duration < 2*time.Second || c.Duration > time.Hour:
		return fmt.Errorf(`--duration "%v": must be from 2s to 1h`, c.Duration)
	case c.Chaos && c.Replicas < 3:
		return fmt.Errorf(`--replicas "%d": --chaos needs at least 3`, c.Replicas)
	case c.Chaos && c.Duration < 12*time.Second:
		return fmt.Errorf(`--duration "%v": --chaos needs at least 12s`, c.Duration)
	}
	return nil
}

// limit is how many requests the pool takes in flight.
func (c Config) limit() int { return c.Servers * c.Concurrency }

// replicas returns the indexes of the replicas the tenant comes in by. A pinned
// tenant whose replica does not exist comes in by another.
func (t Tenant) replicas(n int) []int {
	if len(t.Replicas) == 0 {
		all := make([]int, n)
		for i := range all {
			all[i] = i
		}
		return all
	}
	some := make([]int, len(t.Replicas))
	for i, r := range t.Replicas {
		some[i] = r % n
	}
	return some
}

func replicaID(i int) string { return "replica-" + strconv.Itoa(i+1) }
