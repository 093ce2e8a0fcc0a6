package core

// mark is a flag for the ledger. It stays raised until a statement that carried it was
// answered: what is raised while a turn is under way goes with the next.
//
// Invariant: carried implies raised.
type mark struct {
	raised  bool
	carried bool // by the statement under way
}

// raise sets the flag.
func (m *mark) raise() { *m = mark{raised: true} }

// carry reports whether the statement that begins now carries the flag.
func (m *mark) carry() bool {
	m.carried = m.raised
	return m.raised
}

// answered notes that the statement under way was answered, and reports whether it
// carried the flag.
func (m *mark) answered() (said bool) {
	if said = m.carried; said {
		*m = mark{}
	}
	return said
}

// agenda says whether a turn is worth taking. What has something for the ledger notes it
// here; the next turn clears it.
type agenda struct {
	due     bool // there is something to say that may not wait
	later   bool // there is something to say that may
	soon    bool // requests went from the line in the slots of others
	touched bool // a ticket came or went; worth a turn if it changed the offers
	calm    bool // nobody waits for capacity: what ends may be said later; this one stays
}

// note notes something that others may wait for.
func (a *agenda) note() {
	if a.calm {
		a.later = true
	} else {
		a.due = true
	}
}
