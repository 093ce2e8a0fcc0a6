package store

import (
	"context"
	"time"
)

// Shared is implemented by a ledger outside the process: replicas may be configured with
// different ones by mistake, and have to know each other. It works beside the turns, on
// what is kept at the ledger's root across generations, as long as some replica calls
// Identity and Attest every minute. Its methods are safe for concurrent use.
type Shared interface {
	// Identity identifies the ledger: two replicas share a ledger if it returns the
	// same to both. The first call makes it. known is what it returned to the caller
	// before, or empty: a ledger that has lost its identity takes that one again.
	Identity(ctx context.Context, known string) (string, error)
	// Attest notes that this run of a replica holds a lease.
	Attest(ctx context.Context, replica string, incarnation uint64) error
	// Leaseholders returns the latest run of every replica that was attested within
	// LeaseholderTTL: no other replica can hold grants of the ledger.
	Leaseholders(ctx context.Context) (map[string]uint64, error)
}

// LeaseholderTTL is how long a replica that has held a lease is remembered. One that has
// not reached the ledger for longer no longer counts.
const LeaseholderTTL = 24 * time.Hour
