package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// settlements corrects charges whose real cost is known by now.
//
// Invariant: what is in a batch changes only once a statement with it was answered, so
// that the ledger can tell one that it has applied from one that it has not.
type settlements struct {
	bystander
	agenda *agenda
	queues *queues

	pending []store.Settlement // for the next batches
	batch   []store.Settlement // under way, until it is answered
	number  uint64             // of the batch
}

// settle corrects the charge of a grant that left the flow's counter where it says, and
// what it took of the flow's tokens per minute.
func (st *settlements) settle(flow policies.FlowKey, policy string, delta, counter, tokens float64) {
	st.pending = append(st.pending, store.Settlement{
		Flow: flow.ID, Priority: flow.Priority, Policy: policy, Delta: delta, Counter: counter, Tokens: tokens,
		Weight: st.queues.set.Weight(flow),
	})
	st.queues.set.Charged(flow, delta)
	st.agenda.due = true
}

// The settlements are a participant.

func (st *settlements) state(_ time.Time, s *store.Statement) {
	if n := min(len(st.pending), store.MaxSettlements); len(st.batch) == 0 && n > 0 {
		st.batch = append(st.batch, st.pending[:n]...)
		st.pending = append(st.pending[:0], st.pending[n:]...)
		st.number++
	}
	s.Settlements, s.Batch = st.batch, st.number
}

func (st *settlements) learn(time.Time, *store.Statement, *store.Reply) {
	clear(st.batch)
	st.batch = st.batch[:0]
	st.agenda.due = st.agenda.due || len(st.pending) > 0
}
