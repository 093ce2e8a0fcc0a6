package core

// mark is something that the ledger must be told. It stays until a statement that
// carried it was answered: what is raised while a turn is under way goes with the next.
//
// Invariant: carried implies raised.
type mark struct {
	raised  bool
	carried bool // by the statement under way
}

// raise asks for it to be said.
func (m *mark) raise() { *m = mark{raised: true} }

// carry reports whether the statement that begins now is to say it.
func (m *mark) carry() bool {
	m.carried = m.raised
	return m.raised
}

// answered notes that the statement under way arrived, and reports whether it said so.
func (m *mark) answered() (said bool) {
	if said = m.carried; said {
		*m = mark{}
	}
	return said
}

// agenda says whether a turn is worth while. Whoever has something for the ledger notes
// it here; the next turn takes it up.
type agenda struct {
	due     bool // there is something to say that may not wait
	touched bool // a ticket came or went; worth a turn if it changed the offers
}
