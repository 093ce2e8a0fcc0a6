package memory

import "time"

// Config tunes a ledger. The zero value of a field stands for its default.
type Config struct {
	// Lease is how long a replica that says nothing keeps its held requests and
	// its offers; 3 s. Shorter frees the slots of a dead replica earlier and
	// forgives shorter stalls.
	Lease time.Duration
	// Recovery is how long a new generation waits at most for the members to
	// register before it grants; 1 s.
	Recovery time.Duration
	// CounterIdle is how long the counter of a flow without offers is kept once
	// it is at or below V, and says nothing the lift does not; 10 s.
	CounterIdle time.Duration
	// CounterKeep is how long any counter of a flow without offers is kept; 1
	// minute. Longer remembers debts longer and costs memory.
	CounterKeep time.Duration
	// Clock is the ledger's clock; time.Now.
	Clock func() time.Time
}

func (c Config) withDefaults() Config {
	for field, value := range map[*time.Duration]time.Duration{
		&c.Lease:       3 * time.Second,
		&c.Recovery:    time.Second,
		&c.CounterIdle: 10 * time.Second,
		&c.CounterKeep: time.Minute,
	} {
		if *field == 0 {
			*field = value
		}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}
