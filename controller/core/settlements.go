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

	pending []store.Settlement       // for the next batches
	byFloat map[policies.FlowKey]int // where in pending a flow's charges by float are
	batch   []store.Settlement       // under way, until it is answered
	number  uint64                   // of the batch
}

// settle corrects the charge of a grant that left the flow's counter where it says, and
// what it took of the flow's tokens per minute.
func (st *settlements) settle(flow policies.FlowKey, policy string, delta, counter, tokens float64) {
	st.pending = append(st.pending, store.Settlement{
		Flow: flow.ID, Priority: flow.Priority, Policy: policy, Delta: delta, Counter: counter, Tokens: tokens,
		Weight: st.queues.set.Weight(flow),
	})
	st.queues.set.Charged(flow, delta)
	st.agenda.note()
}

// served charges a request that was let go by float. A flow's charges of one batch are one
// settlement.
func (st *settlements) served(r *request) {
	st.queues.set.Charged(r.Flow, r.charge)
	if at, ok := st.byFloat[r.Flow]; ok && st.pending[at].Policy == r.policy {
		st.pending[at].Delta += r.charge
		st.pending[at].Last = r.charge
		return
	}
	if st.byFloat == nil {
		st.byFloat = make(map[policies.FlowKey]int)
	}
	st.byFloat[r.Flow] = len(st.pending)
	st.pending = append(st.pending, store.Settlement{
		Flow: r.Flow.ID, Priority: r.Flow.Priority, Policy: r.policy, Delta: r.charge, Counter: r.counter, Last: r.charge,
		Weight: st.queues.set.Weight(r.Flow),
	})
}

// The settlements are a participant.

func (st *settlements) state(_ time.Time, s *store.Statement) {
	if n := min(len(st.pending), store.MaxSettlements); len(st.batch) == 0 && n > 0 {
		st.batch = append(st.batch, st.pending[:n]...)
		st.pending = append(st.pending[:0], st.pending[n:]...)
		clear(st.byFloat)
		st.number++
	}
	s.Settlements, s.Batch = st.batch, st.number
}

func (st *settlements) learn(time.Time, *store.Statement, *store.Reply) {
	clear(st.batch)
	st.batch = st.batch[:0]
	st.agenda.due = st.agenda.due || len(st.pending) > 0
}
