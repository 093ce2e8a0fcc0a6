package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// settlements corrects charges whose real cost is known by now.
//
// Invariants: what is in a batch changes only once a statement with it was answered, so
// that the ledger can tell one that it has applied from one that it has not. merging has a
// place in pending for each of its keys, so that what is pending is bounded by the flows
// and not by the requests, however long the ledger takes.
type settlements struct {
	bystander
	agenda *agenda
	queues *queues

	pending []store.Settlement // for the next batches
	merging map[mergeKey]int   // where in pending more of the same is added
	batch   []store.Settlement // under way, until it is answered
	number  uint64             // of the batch
}

// mergeKey is what settlements that become one have in common. The ledger's virtual time
// does something else for what is charged, for what is refunded and for what went by float,
// so these are kept apart.
type mergeKey struct {
	account
	kind settlementKind
}

// account is where a flow was charged: under which policy, and in which group.
type account struct {
	flow          policies.FlowKey
	policy, group string
}

type settlementKind uint8

const (
	refunded settlementKind = iota // or only tokens are settled
	charged
	byFloat
)

// settle corrects the charge of a grant that left the flow's counter where it says, what
// that was for the flow's groups, and what it took of the flow's tokens per minute.
func (st *settlements) settle(of account, delta, service, counter, tokens float64) {
	kind := refunded
	if delta > 0 || service > 0 {
		kind = charged
	}
	p := st.merged(mergeKey{of, kind}, counter)
	p.Delta += delta
	p.Service += service
	p.Tokens += tokens
	if of.policy == st.queues.set.Policy(of.flow.Priority) { // else what is kept of the flow here is in another book
		st.queues.set.Charged(of.flow, delta, service)
	}
	st.agenda.note()
}

// served charges a request that was let go by float.
func (st *settlements) served(r *request, service float64) {
	p := st.merged(mergeKey{r.account(), byFloat}, r.counter)
	p.Delta += r.charge
	p.Service += service
	if p.Last = r.charge; p.Last == 0 {
		p.Last = service / p.Weight // only its groups are charged
	}
	st.queues.set.Charged(r.Flow, r.charge, service)
}

// merged returns the pending settlement of that key. What the ledger falls back on if it
// has forgotten the flow is what the first left its counter at, since the others are added
// to that.
func (st *settlements) merged(key mergeKey, counter float64) *store.Settlement {
	at, ok := st.merging[key]
	if !ok {
		if st.merging == nil {
			st.merging = make(map[mergeKey]int)
		}
		if key.kind == byFloat { // it lifts the flow, and would swallow what corrects it if that came before
			delete(st.merging, mergeKey{key.account, refunded})
			delete(st.merging, mergeKey{key.account, charged})
		}
		at = len(st.pending)
		st.merging[key] = at
		st.pending = append(st.pending, store.Settlement{
			Flow: key.flow.ID, Priority: key.flow.Priority, Policy: key.policy, Group: key.group, Counter: counter, Weight: st.queues.set.Weight(key.flow),
		})
	}
	return &st.pending[at]
}

// cut makes a batch of what has been pending for longest.
func (st *settlements) cut() {
	n := min(len(st.pending), store.MaxSettlements)
	st.batch = append(st.batch, st.pending[:n]...)
	st.pending = append(st.pending[:0], st.pending[n:]...)
	for key, at := range st.merging {
		if at < n {
			delete(st.merging, key)
		} else {
			st.merging[key] = at - n
		}
	}
	st.number++
}

// The settlements are a participant.

func (st *settlements) state(_ time.Time, s *store.Statement) {
	if len(st.batch) == 0 && len(st.pending) > 0 {
		st.cut()
	}
	s.Settlements, s.Batch = st.batch, st.number
}

func (st *settlements) learn(time.Time, *store.Statement, *store.Reply) {
	clear(st.batch)
	st.batch = st.batch[:0]
	st.agenda.due = st.agenda.due || len(st.pending) > 0
}
