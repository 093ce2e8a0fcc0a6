package store

import (
	"context"
	"errors"
	"time"
)

// Overriding is implemented by a ledger that keeps what operators set for a time. It works
// beside the turns, on what is kept at the ledger's root across generations. It is safe
// for concurrent use.
type Overriding interface {
	// Overrides keeps each of the given overrides, unless a later one of its name is kept,
	// and returns all that are kept and have not run out, in no order. Who finds one of
	// those that it knows missing gives it again: the ledger had lost it.
	Overrides(ctx context.Context, put ...Override) ([]Override, error)
}

// Override is what an operator set for a time. What it says is up to those who set it.
type Override struct {
	// Name is what it is of: one of the same name replaces it.
	Name string
	// Revision is greater for a later one of the same name. The ledger gives one its
	// revision when it is put with none.
	Revision uint64
	// Left is how long it still holds.
	Left time.Duration
	// Value is what was set; empty once it was taken back, which is remembered until it
	// would have run out: what is missing was lost, and what was taken back is not.
	Value string
}

// MaxOverrides bounds how many overrides a ledger keeps, and MaxOverride how long a name and
// a value may be together, in bytes.
const (
	MaxOverrides = 1000
	MaxOverride  = 4096
)

// ErrOverrides says that an override was not kept, because there are too many or it is too
// long.
var ErrOverrides = errors.New("the ledger keeps at most 1000 overrides, of at most 4096 bytes each")
