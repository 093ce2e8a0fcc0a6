package store

import (
	"context"
	"time"
)

// Shared is implemented by a ledger that replicas may mistake for another one, and whose
// replicas must know each other. It works beside the turns, on what is kept at the
// ledger's root whatever becomes of the book, as long as some replica calls Identity and
// Attest every minute. Its methods are safe for concurrent use.
type Shared interface {
	// Identity tells the ledger from every other: two replicas share a ledger if they
	// are told the same. Whoever asks first makes it. known is what the caller was told
	// before, or empty: a ledger that has lost its identity takes that one again.
	Identity(ctx context.Context, known string) (string, error)
	// Attest notes that this run of a replica holds a lease.
	Attest(ctx context.Context, replica string, incarnation uint64) error
	// Leaseholders returns the latest run of every replica that was attested within
	// LeaseholderTTL: no one else can hold what the ledger has given.
	Leaseholders(ctx context.Context) (map[string]uint64, error)
}

// LeaseholderTTL is how long a replica that has held a lease is named. One that the
// ledger has been out of reach of for longer no longer counts with the others.
const LeaseholderTTL = 24 * time.Hour
