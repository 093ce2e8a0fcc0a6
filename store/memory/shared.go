package memory

import (
	"context"
	"crypto/rand"
	"maps"
	"time"

	"github.com/weirflow/weir/store"
)

// shared is what the ledger keeps for [store.Shared], [store.Overriding] and
// [store.Metering].
type shared struct {
	identity     string
	leaseholders map[string]leaseholder
	overrides    map[string]override  // by name
	usage        map[int64]*hourOfUse // by when the hour began
}

type leaseholder struct {
	incarnation uint64
	attested    time.Time
}

func newShared() shared {
	return shared{identity: rand.Text(), leaseholders: make(map[string]leaseholder), overrides: make(map[string]override), usage: make(map[int64]*hourOfUse)}
}

// Identity implements [store.Shared]: it is the object's own.
func (l *Ledger) Identity(context.Context, string) (string, error) { return l.shared.identity, nil }

// Attest implements [store.Shared].
func (l *Ledger) Attest(_ context.Context, replica string, incarnation uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shared.leaseholders[replica] = leaseholder{incarnation, l.cfg.Clock()}
	return nil
}

// Leaseholders implements [store.Shared].
func (l *Ledger) Leaseholders(context.Context) (map[string]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Clock()
	maps.DeleteFunc(l.shared.leaseholders, func(_ string, h leaseholder) bool { return now.Sub(h.attested) > store.LeaseholderTTL })
	runs := make(map[string]uint64, len(l.shared.leaseholders))
	for id, h := range l.shared.leaseholders {
		runs[id] = h.incarnation
	}
	return runs, nil
}
