package store

import (
	"time"

	"github.com/weirflow/weir/policies"
)

// Status says what the ledger made of a statement.
type Status int

// The statuses.
const (
	// OK: the statement was applied.
	OK Status = iota
	// Register: the ledger does not know the sender, or forgot part of what it
	// knew. Nothing was applied; the next statement must carry everything.
	Register
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Register:
		return "register"
	}
	return "unknown"
}

// Reply is what the ledger answers.
type Reply struct {
	Status     Status
	Generation uint64
	// Applied is the number of the last turn that the ledger has applied of the sender:
	// this one, or a later one if this came late. If it is later than any that the
	// sender made, the ledger's memory is wrong, and the sender must number on from there.
	Applied uint64
	// Now is the ledger's clock.
	Now time.Time
	// Recovering is set while the ledger grants nothing because members have
	// not registered yet.
	Recovering bool
	// Messages has everything unread, oldest first.
	Messages []Message
	// Revoke numbers the sender's requests in flight to be revoked: those of its
	// Sheddable that are among the first of the whole fleet's, as many as offers of
	// a higher band stand at a full pool, less what is being revoked. It says so
	// again until the sender states it.
	Revoke []uint64
	// Rooms has what the flows and groups of the statement's Limited may still take.
	Rooms []Room
	// Loads has the load of every endpoint that a replica states, unread grants
	// included, the least first; only if it was wanted.
	Loads []Load
	// Permits has, for each of the statement's Loads that has or wants permits, how many
	// requests beyond those in flight the ledger counts there for the sender, as of the
	// turn Applied.
	Permits []Permit
	// Capacity is the sum of the capacities of all endpoints that a replica with a lease
	// sends requests to; 0 if no capacities are known.
	Capacity int64
	// Short names ingresses that lately reached no endpoint with room while others did:
	// offers of theirs stand, and are passed over. An owner makes a few at a time.
	Short []string
	// Bands has the fleet's figures for each priority the sender stated.
	Bands []BandTotal
	// Groups has the standing of the statement's Groups, in their order, as of the end of
	// the turn: Known is unset of one that the ledger has no counter of.
	Groups []Group
	// InFlight, Queued and QueuedBytes are totals over the fleet and all bands. Permits that
	// are not spent are not in flight; what lost replicas held is.
	InFlight, Queued, QueuedBytes int64
	// OutOfUse is how many of InFlight are at endpoints that no replica with a lease sends
	// requests to any more, where capacities are known. They take no room: limits are of the
	// endpoints that are in use.
	OutOfUse int64
	// Lowest is the lowest priority at which anything is queued in the fleet. It says nothing
	// where Queued is 0.
	Lowest int
	// Members is the number of replicas with a lease.
	Members int
	// Lost has the lost replicas, by their ids.
	Lost []Lost

	// Float is how many permits beyond its requests in flight the ledger counts for the
	// sender as of the turn Applied: those it stated, and those that this turn gave it. Any
	// of them may be spent on bands whose limit is at least FloatLimit.
	Float, FloatLimit int64
	// FloatShare is how many of them the sender may keep. It is 0 while an offer anywhere
	// stands for want of capacity or little is free: then it must return them with its next
	// turn, and say at once what ends.
	FloatShare int64
	// LineRecalled says that the tickets in line at the sender must go back into their
	// queues: others go before them now, or the limit fell.
	LineRecalled bool
	// InLine is how many tickets stand in line in the fleet, unread ones included.
	InLine int64

	// MayPass says that requests of the bands above PassAbove, which want little of the pool
	// together, may go in slots that end at their ingresses, before all others, and need not be
	// granted. That holds until the next reply. PassWait says that an offer of such a band
	// stands, and PassLately that one came within the last second.
	MayPass              bool
	PassAbove            int
	PassWait, PassLately bool
	// Yields are slots that the sender is to give up for these as they become free, if it has a
	// line that lasts for longer than a turn.
	Yields []Yield
}

// Yield is how many slots are given up at an endpoint; anywhere if that is empty.
type Yield struct {
	Endpoint string
	Slots    int64
}

// Lost is a replica that has no lease any more, while nothing shows that its requests
// have ended at the model servers: it may have been stopped, or cut off. It has no offers
// and gets no grants, but what it held stays counted, at the endpoints and in the limits
// of flows as well. That ends when it registers again, when a statement says that its
// process ended, or when LostFactor times the longest request that any replica stated
// has passed since, or KeepLost at the most.
type Lost struct {
	Replica string
	// Held is what it counts for.
	Held int64
	// For is for how much longer it counts at most.
	For time.Duration
}

// LostFactor is how many times longer than any request of late one of a lost replica is
// believed to take at most.
const LostFactor = 2

// BandTotal is one priority over the whole fleet.
type BandTotal struct {
	Priority int
	// VirtualTime is V of the sender's book in the band, and Level where a flow begins
	// that the book does not know.
	VirtualTime, Level  float64
	Queued, QueuedBytes int64
	// InFlight counts requests that were granted, whether their ingresses have read so or
	// not, and have not ended.
	InFlight int64
	// Limit is the band's limit: the least that a live replica states.
	Limit int64
	// Guaranteed, Owed, Got and Below are the band's account of its [Guarantee].
	Guaranteed, Owed, Got, Below float64
	// Largest is the most that a flow at another replica holds of the band's buffer,
	// as that one stated; only if it was wanted.
	Largest float64
}

// MessageKind says what happened to a ticket; kinds are combined where a replica
// is both the ticket's ingress and its owner.
type MessageKind uint8

// The kinds of messages.
const (
	// Granted tells the ingress that it may dispatch the ticket.
	Granted MessageKind = 1 << iota
	// Taken tells the owner that its offer was granted.
	Taken
	// Dropped tells the owner that its offer no longer stands, because another
	// owner offers the ticket or because its ingress has no lease.
	Dropped
	// AtLimit tells the owner that its offer no longer stands, because its flow is
	// at a limit of its own; see Rooms.
	AtLimit
	// Lined tells the ingress that the ticket stands in line there: it is next in order and
	// charged like a granted one, but holds no slot. It may be dispatched in the slot of a
	// request of the ingress that ends, which is stated afterwards; or by a grant that names
	// no ticket, which is for the first in line, or whoever comes to stand there next.
	Lined
)

// Permit is how many requests a replica may have at an endpoint beyond those in flight
// there.
type Permit struct {
	Endpoint string
	Permits  int64
}

// ShortFor is for how long an ingress is called short of room after it last was.
const ShortFor = time.Second

// Room is what a flow with a limit of its own, or a group with a maximum, may still take, and
// how a group stands with its guarantee, as of the turn.
type Room struct {
	Flow, Group string
	// InFlight is how many more requests; 0 or less for none, Unlimited without a
	// limit.
	InFlight int64
	// Tokens is how many tokens are left; 0 or less for none. Without a limit it is
	// 1.
	Tokens float64
	// Guaranteed, Owed, Got and Below are the group's account of its [Guarantee].
	Guaranteed, Owed, Got, Below float64
}

// Message is what the ledger leaves for a replica until it has read it.
type Message struct {
	// Number counts a replica's messages within a generation, from 1.
	Number uint64
	Kind   MessageKind
	// Ticket is zero in a grant for the first in line, which has no Policy, Flow and Charge.
	Ticket policies.TicketID
	// Priority and Policy name the book, Group the group in it, Flow the flow in that.
	Priority int
	Policy   string
	Group    string
	Flow     string
	// Charge is what the grant added to the flow's counter, and Service what it was for the
	// groups that the flow is in.
	Charge, Service float64
	// Counter is the flow's counter after it.
	Counter float64
	// Endpoint, with Granted, is the one that the offer preferred, or else the one with the
	// least load at the time of those that the ingress states and that have room, and
	// EndpointInFlight that load. The grant counts there until the ingress, having read it,
	// states the endpoint's load, which it does in the turn that says so. Empty if the
	// ingress states none.
	Endpoint         string
	EndpointInFlight int64
}
