package simulation

import (
	"context"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

// applied is a turn that the ledger took.
type applied struct {
	at        time.Time
	clock     time.Time // the ledger's
	statement *store.Statement
}

func (f *fleet) newLedger() Ledger {
	clock := func() time.Time {
		if !f.replaying.IsZero() {
			return f.replaying
		}
		return f.now.Add(f.ledgerAhead)
	}
	if f.cfg.Ledger != nil {
		return f.cfg.Ledger(clock)
	}
	return memory.New(memory.Config{Clock: clock})
}

// record keeps a turn for a rollback that is to come.
func (f *fleet) record(s *store.Statement) {
	if !f.recording {
		return
	}
	f.history = append(f.history, applied{f.now, f.now.Add(f.ledgerAhead), copied(s)})
}

// copied is a statement that stays what it is when its core begins the next.
func copied(s *store.Statement) *store.Statement {
	c := *s
	c.Dead, c.Bands, c.Withdrawn = slices.Clone(s.Dead), slices.Clone(s.Bands), slices.Clone(s.Withdrawn)
	c.Offers, c.Settlements, c.Counters = slices.Clone(s.Offers), slices.Clone(s.Settlements), slices.Clone(s.Counters)
	c.Loads, c.Ended, c.Sheddable = slices.Clone(s.Loads), slices.Clone(s.Ended), slices.Clone(s.Sheddable)
	c.Limited, c.Groups = slices.Clone(s.Limited), slices.Clone(s.Groups)
	return &c
}

// rollBack makes the ledger what it was at a time: it takes the same turns again.
func (f *fleet) rollBack(to time.Time) {
	f.rolledBack = f.now
	f.ledger = f.newLedger()
	for i := range f.history {
		if f.history[i].at.After(to) {
			break
		}
		f.replaying = f.history[i].clock
		_, _ = f.ledger.Turn(context.Background(), f.history[i].statement) // as it ended then
	}
	f.replaying, f.recording, f.history = time.Time{}, false, nil
	for _, n := range f.nodes {
		n.forgotten = n.paused
		if n.alive {
			n.stopWakeups()
			n.listen()
		}
	}
}
