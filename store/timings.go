package store

import "time"

// Timings are the times that every ledger works by. The zero value of a field stands for
// its default.
type Timings struct {
	// Lease is how long a silent replica keeps its held requests and its offers;
	// 3 s. Shorter frees the slots of a dead replica earlier and
	// forgives shorter stalls.
	Lease time.Duration
	// Recovery is how long a new generation waits at most for the members to
	// register before it grants; 1 s.
	Recovery time.Duration
	// CounterIdle is how long the counter of a flow without offers is kept once
	// it is at or below V, where the lift would restore as much; 10 s.
	CounterIdle time.Duration
	// CounterKeep is how long any counter of a flow without offers is kept; 1
	// minute. Longer remembers debts longer and costs memory.
	CounterKeep time.Duration
}

// WithDefaults returns the timings with unset fields filled in.
func (t Timings) WithDefaults() Timings {
	fill := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&t.Lease, 3*time.Second)
	fill(&t.Recovery, time.Second)
	fill(&t.CounterIdle, 10*time.Second)
	fill(&t.CounterKeep, time.Minute)
	return t
}
