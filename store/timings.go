package store

import "time"

// Defaults of timings that others go by, too.
const (
	DefaultLease    = 3 * time.Second
	DefaultKeepLost = 10 * time.Minute
)

// Timings are the times that every ledger works by. The zero value of a field stands for
// its default.
type Timings struct {
	// Lease is how long a silent replica keeps its offers and its place; 3 s. Shorter
	// notices a dead replica earlier and forgives shorter stalls.
	Lease time.Duration
	// KeepLost is how long what a lost replica held stays counted at most; 10 minutes.
	// Shorter gives out the slots of a machine that lost its power earlier, and of a
	// frozen one while longer requests still run.
	KeepLost time.Duration
	// Recovery is how long a new generation waits at most for the members to
	// register before it grants; 1 s.
	Recovery time.Duration
	// CounterKeep is how long the counter of a flow without offers is kept; 5 minutes.
	// A flow whose counter was forgotten is a newcomer when it comes back; see the level
	// in docs/fairness.md. Longer remembers light flows and debts longer, and costs
	// memory.
	CounterKeep time.Duration
	// CountersKept is of how many such flows at most where they are compared: in a book, and
	// in each of its groups, where a group that is in it counts as one; 16,384. The longest
	// idle are forgotten first, and with a group what is in it.
	CountersKept int
}

// ForgottenATurn is how many counters of a book, or of a group in one, a turn forgets at most. It is more than a
// turn can add for long: as many as an owner offers, and some settlements.
const ForgottenATurn = 64

// WithDefaults returns the timings with unset fields filled in.
func (t Timings) WithDefaults() Timings {
	fill := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	fill(&t.Lease, DefaultLease)
	fill(&t.KeepLost, DefaultKeepLost)
	fill(&t.Recovery, time.Second)
	fill(&t.CounterKeep, 5*time.Minute)
	if t.CountersKept == 0 {
		t.CountersKept = 16_384
	}
	return t
}
