package core

import (
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// RequestView is a request whose connection is here, as an operator sees it.
type RequestView struct {
	ID   policies.TicketID
	Tag  any
	Flow policies.FlowKey
	// Arrival is when it came, and Deadline when its wait ends, by the ledger's clock; the
	// zero deadline is never.
	Arrival, Deadline                time.Time
	Bytes, InputTokens, OutputTokens int64
	// InFlight is set once it was dispatched, to the endpoint of that address if known.
	// Before that, Owner is the replica in whose queue it waits.
	InFlight bool
	// InLine says that it waits in no queue: it is next, and goes when a request of its
	// replica ends.
	InLine   bool
	Endpoint string
	Owner    string
}

func viewOf(r *request) RequestView {
	v := RequestView{
		ID: r.ID, Tag: r.tag, Flow: r.Flow, Arrival: r.Arrival, Deadline: r.Deadline,
		Bytes: r.Bytes, InputTokens: r.InputTokens, OutputTokens: r.OutputTokens, InFlight: r.home == nil && !r.inLine(), InLine: r.inLine(), Endpoint: r.endpoint,
	}
	if r.home != nil {
		v.Owner = r.home.id
	}
	return v
}

// Requests calls visit for every request whose connection is here, in no order, until it
// returns false.
func (c *Core) Requests(visit func(RequestView) bool) {
	for r := range c.requests.all(true) {
		if r.ahead() {
			continue
		}
		if !visit(viewOf(r)) {
			return
		}
	}
	for r := range c.requests.all(false) {
		if !visit(viewOf(r)) {
			return
		}
	}
}

// PlaceOf returns where a ticket stands that waits in the queues here.
func (c *Core) PlaceOf(id policies.TicketID) (shard.Place, bool) { return c.queues.set.Place(id) }

// Ahead calls visit for each flow with tickets in the queues here that go before one of
// that rank and score; see [shard.Set.Ahead].
func (c *Core) Ahead(flow policies.FlowKey, rank, score float64, visit func(key policies.FlowKey, tickets int)) {
	c.queues.set.Ahead(flow.Priority, flow.ID, rank, score, visit)
}
