package shard

import (
	"cmp"
	"time"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// Ticket is a waiting request as the fleet sees it. Its body stays where its
// connection is.
type Ticket struct {
	ID   policies.TicketID
	Flow policies.FlowKey
	// Sharer is who of those that share the flow it is of: they take turns within it,
	// whatever the ordering policy says. Empty for a flow that is one's own.
	Sharer string
	// Bytes is the size of the request's body.
	Bytes int64
	// InputTokens is the estimated length of its prompt, OutputTokens the
	// expected length of its answer.
	InputTokens, OutputTokens int64
	// Arrival is when it was enqueued, by the ledger's clock.
	Arrival time.Time
	// Deadline is when its time in the queue ends; zero means never.
	Deadline time.Time
	// TargetTTFT is how soon after its arrival its first token should come; 0 for no
	// target.
	TargetTTFT time.Duration
	// Prefer is the endpoint that its ingress would have it go to; empty for none.
	Prefer string
	// Traced is set when its ingress is to hear when it was first offered to the ledger.
	Traced bool
	// Ahead is set while its request has not come: it is in the order as any other, and does not
	// count as waiting.
	Ahead bool
	// ExpectedHold is how long it is expected to hold its slot; 0 where that is not known.
	ExpectedHold time.Duration
	// Held is how long it has held its slot; 0 while it waits.
	Held time.Duration
	// Waited is set when the ticket waited in another queue before: its flow was
	// not idle then.
	Waited bool
}

// amount is what of the buffer the ticket takes.
func (t *Ticket) amount() amount {
	if t.Ahead {
		return amount{}
	}
	return amount{1, t.Bytes}
}

// offerState is what the ledger has of a ticket's offer, as far as this replica knows.
type offerState uint8

const (
	notStanding offerState = iota // no offer stands
	uncertain                     // the turn that changed it has not been answered
	standing                      // the offer stands
)

// item is a ticket in its flow's queue.
type item struct {
	Ticket
	flow   *flow
	queued bool // in Set.items
	charge float64
	score  float64

	from       *ingress
	byIngress  list.Node[*item] // in from
	index      int              // in flow.waiting while it is not offered, or among those that are set aside
	aside      bool             // it is among these
	prev, next *item

	offered    bool
	key        float64 // its rank as this replica estimates it, while offered
	offerIndex int     // in band.offered

	state      offerState
	stated     bool // whether the last statement about it offered it
	changed    bool // in Set.changed
	unanswered bool // in Set.unanswered
	told       bool // an offer of it was handed over

	statedKey, statedScore float64 // what that statement said
}

// item makes an item of a ticket.
func (s *Set) item(t *Ticket, f *flow) *item {
	it := s.spare.Take()
	it.Ticket, it.flow = *t, f
	return it
}

// reuse keeps an item for a ticket that comes, once it is in no queue and nothing is to be said of it
// any more.
func (s *Set) reuse(it *item) {
	if !it.queued && !it.changed && !it.unanswered {
		s.spare.Keep(it)
	}
}

// shown is a ticket as policies see it. It is a pointer alone, so that showing one
// allocates nothing.
type shown struct{ ticket *Ticket }

func (s shown) FlowKey() policies.FlowKey { return s.ticket.Flow }
func (s shown) Arrival() time.Time        { return s.ticket.Arrival }
func (s shown) Deadline() time.Time       { return s.ticket.Deadline }
func (s shown) TargetTTFT() time.Duration { return s.ticket.TargetTTFT }
func (s shown) ByteSize() int64           { return s.ticket.Bytes }
func (s shown) InputTokens() int64        { return s.ticket.InputTokens }
func (s shown) OutputTokens() int64       { return s.ticket.OutputTokens }
func (s shown) ExpectedHold() time.Duration {
	return s.ticket.ExpectedHold
}
func (s shown) Held() time.Duration { return s.ticket.Held }

var _ policies.QueueItemAccessor = shown{}

// served notes that it is the ticket's turn among those that share its flow.
func (it *item) served() {
	if it.Sharer != "" {
		it.flow.turns.went(it.score)
	}
}

// before is the order of a flow's tickets, and of a band's between equal ranks.
func (it *item) before(other *item) bool {
	if it.score != other.score {
		return it.score < other.score
	}
	return it.ID.Compare(other.ID) < 0
}

// compareRank orders the offers of a band, lowest rank first.
func (it *item) compareRank(other *item) int {
	return cmp.Or(cmp.Compare(it.key, other.key), cmp.Compare(it.score, other.score), it.ID.Compare(other.ID))
}

// itemIndex is where an item keeps its place in flow.waiting.
func itemIndex(it *item) *int { return &it.index }
