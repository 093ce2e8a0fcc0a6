package store

import (
	"time"

	"github.com/weirflow/weir/policies"
)

// Unlimited is the limit of a band that has none. It is the largest integer
// that every store counts exactly.
const Unlimited = 1 << 53

// NoOpinion is the limit a replica states for a band when it does not know one,
// such as while it has no endpoints. The others' limits then hold.
const NoOpinion = -1

// Statement is what a replica states in a turn. A ledger applies it in this order:
// messages read, bands, groups, settlements, counters, withdrawals, offers; then it grants, puts
// tickets in line, and gives float.
type Statement struct {
	// Replica is the sender's id, unique in the fleet.
	Replica string
	// Incarnation tells one run of the replica from the next; it only grows.
	Incarnation uint64
	// Number counts the replica's turns in this incarnation, from 1; a turn of
	// a number the ledger has seen or passed changes nothing.
	Number uint64
	// Answered is the number of the last turn whose reply arrived. A ledger
	// that does not remember it was rolled back.
	Answered uint64
	// Generation is the ledger's generation as the replica knows it.
	Generation uint64
	// ReadUpTo is the number of the last message read, in this generation.
	ReadUpTo uint64
	// Members is the number of replicas that live as the sender sees it, itself
	// included. A recovering ledger waits for that many.
	Members int
	// Dead names replicas the sender believes dead. One that every other member
	// believes dead, and that has taken no turn for half a lease, is lost before its
	// lease ends: see Lost.
	Dead []string
	// Ended names runs of replicas whose processes the sender knows to have ended, and
	// their connections with them, so that their requests did, too. What a lost one held
	// is free; one that has taken no turn for half a lease is dropped.
	Ended []Run
	// Longest is how long the longest took of the requests that the sender had in flight
	// of late; 0 if none of them has ended.
	Longest time.Duration
	// Pace is how long the sender's turns take of late, on average: where anything waits at it, the
	// next comes so much later. See HeardWithin.
	Pace time.Duration

	// Register is set on a statement that carries everything: all offers, all
	// counters, V. It answers Status Register.
	Register bool
	// Full is set on a statement that repeats in full what the sender has of offers,
	// limited flows and endpoints; any others in its name are withdrawn. This repairs
	// whatever a ledger lost of these without noticing. A replica with waiting tickets
	// does so every second. Register implies it.
	Full bool
	// Alone is set with Register when the sender dispatched requests by itself in an
	// outage. Others may have done the same, so a ledger still in the sender's
	// generation begins a new one, and grants nothing before all members have
	// registered. The flows' counters are kept.
	Alone bool
	// Leave is set on a replica's last statement: its lease ends with it.
	Leave bool

	// Bands holds one entry for each priority the sender has anything to say
	// about. Priorities are distinct.
	Bands []Band
	// Float is how many permits the sender has beyond its requests in flight and keeps:
	// each lets a request go without a question, and counts like one in flight. WantFloat
	// is how many it would have in all; 0 while it has no use for any.
	Float, WantFloat int64
	// InLine is how many tickets stand in line at the sender, and WantLine how many it has
	// use for there in all; see Lined. None stands there when it registers.
	InLine, WantLine int64

	// Groups has groups of flows that offers or settlements of this statement are in, and
	// others whose standing the sender wants to know; a group comes after those that it is
	// in. With Register they have what was last learnt of them.
	Groups []Group

	// Withdrawn names offers that no longer stand. They apply before Offers.
	Withdrawn []policies.TicketID
	// Offers are new ones, and standing ones whose rank changed. Their
	// priorities occur in Bands.
	Offers []Offer

	// Evicts is set when the sender's requests in flight may be revoked for a
	// higher band that waits at a full pool. Sheddable are those of them that go
	// first, at most MaxSheddable, without those that are revoked already: Revoking
	// is how many of these are still in flight.
	Evicts    bool
	Sheddable []Sheddable
	Revoking  int64

	// Limited has the flows with a limit of their own, and the groups with a maximum or a
	// guarantee, whose figures here changed, those that offers are of, and some of those that wait for room;
	// all that have requests in flight here with Register and Full.
	Limited []Limited

	// Loads has the sender's endpoints at which the number of its granted requests
	// changed; all of its endpoints with Register and Full. Endpoints are distinct.
	// WantLoads asks for the fleet's.
	Loads     []Load
	WantLoads bool
	// Capacity is the sum of capacities of which the limits and guarantees of Bands are
	// parts; 0 if these do not follow the endpoints' capacities. Where that sum is another
	// one over the fleet, the ledger takes them for the same parts of it.
	Capacity int64

	// WantHolders asks what other replicas' largest flows hold of the buffer; see
	// Band.Largest.
	WantHolders bool

	// Batch numbers the settlements in this incarnation, from 1; a batch
	// already applied is not applied again. It stays the same, and so does
	// what is in it, until a turn that carried it is answered.
	Batch uint64
	// Settlements correct charges whose real cost is known by now, and charge what was let
	// go by float; at most MaxSettlements.
	Settlements []Settlement
	// Counters are the counters of the sender's flows as it last learnt them, at most
	// MaxCounters; only with Register.
	Counters []Counter
}

// Run is one run of a replica.
type Run struct {
	Replica     string
	Incarnation uint64
}

// Band is a replica's statement about one priority.
type Band struct {
	Priority int
	// Policy names the account that the band is kept by: the fairness policy's type
	// and parameters. Ranks under different names are never compared.
	Policy string
	// CountsService and LiftsIdle are the policy's [policies.Account].
	CountsService, LiftsIdle bool
	// HalfLife is the time in which what was served comes to count half; 0 for
	// never. Counters are exchanged at their value at the time.
	HalfLife time.Duration
	// Limit is how many requests of all bands may be in flight for this one to
	// dispatch another. The least of what the live replicas state holds.
	Limit int64
	// Guaranteed is how many slots of the pool the band has on average at least while it
	// waits; 0 for none. The least of what the live replicas state holds; one that has no
	// opinion of the limit has none of this. It goes above the band's own limit, up to the
	// highest that any band has. Owed is what the sender last learnt that the band is owed
	// of it; only with Register.
	Guaranteed, Owed float64
	// Weight is what the band gets of the pool beside others, by slots times time, while both
	// wait; 0 if it goes before all lower bands and after all higher ones. The least of what
	// the live replicas state holds. See [Weighed].
	Weight float64
	// InFlight is the number of granted requests the sender knows of.
	InFlight int64
	// Queued and QueuedBytes are what waits in the sender's queues.
	Queued, QueuedBytes int64
	// Wanted is how many slots the requests would have now that came in at the sender: those that are
	// in flight, and those that wait, wherever they are queued or in line.
	Wanted int64
	// Largest is what the flow that holds most of the band's buffer at the sender holds
	// of it, for its weight, as a part of the buffer's caps; 0 if nothing is queued.
	Largest float64
	// VirtualTime and Level are the sender's last known; only with Register.
	VirtualTime, Level float64
}

// Group is a replica's statement about a group of flows in a band. Groups of a group share
// what it gets, as flows share a band: by their weights, among those that have flows that
// wait. The flows of a group are compared with each other only, by the band's policy.
type Group struct {
	Priority int
	// Path has the names of the groups that it is in, the outermost first, and its own,
	// with slashes between them.
	Path string
	// Weight is its share; 0 stands for 1. The last that was stated holds.
	Weight float64
	// Counter is what the group was served in all, for its weight, and Known says that it
	// was learnt; VirtualTime and Level are those of what is in it. Only with Register.
	Counter            float64
	Known              bool
	VirtualTime, Level float64
}

// MaxSettlements is how many settlements a statement carries at most; the rest go with
// the next.
const MaxSettlements = 1024

// MaxCounters is how many counters a statement carries at most.
const MaxCounters = 8192

// MaxSheddable is how many requests that may be revoked a statement names at most.
const MaxSheddable = 16

// Sheddable is a request of the sender's in flight that may be revoked: the lower
// priority goes first, then the lower score.
type Sheddable struct {
	Seq      uint64
	Priority int
	Score    float64
	// Group is the path of the group that its flow is in; empty for none, and where no group
	// is guaranteed anything.
	Group string
}

// Limited is a replica's statement about a flow with limits of its own, or a group with a
// maximum or a guarantee, which hold over their priorities together.
//
// An offer of a flow at its limit is sent back; see AtLimit. Offers in a group that is at its
// maximum stand, and count as if they did not wait: they go in the turn in which it has room.
type Limited struct {
	Flow string
	// Group is a group's path; then Flow is empty, and there are no tokens.
	Group string
	// MaxInFlight is how many of its requests may be in flight in the fleet; 0 for
	// no limit. TokensPerMinute is how many tokens its requests may cost in a minute
	// of the ledger's clock; what is not used is kept for up to a minute; 0 for no
	// limit. The last that was stated holds.
	MaxInFlight     int64
	TokensPerMinute float64
	// MaxSlots is a group's maximum as a part of the pool, in slots of the capacity that
	// the statement's Capacity is the sum of; it holds instead of MaxInFlight if it is above
	// 0, rounded down to at least one request.
	MaxSlots float64
	// Guaranteed is how many slots of that capacity a group has on average at least while
	// something in it waits, as [Band.Guaranteed] is a band's; 0 for none, and [NoOpinion] to
	// leave it as it was. Owed is what the sender last learnt that it is owed of it; only with
	// Register.
	Guaranteed, Owed float64
	// InFlight is the number of its granted requests that the sender knows of.
	InFlight int64
}

// Load is how many granted requests there are at an endpoint, and how many there may be.
type Load struct {
	// Endpoint is its address, the same at all replicas.
	Endpoint string
	// InFlight is their number, and Gone for an endpoint that the sender has no more.
	InFlight int64
	// Tokens is what they are expected to cost, prompts and answers; 0 where nothing
	// needs it. Unread grants have none.
	Tokens int64
	// Capacity is how many of the fleet's requests may be in flight there; 0 for no limit.
	// The least that live replicas state holds. Closed says that the sender has requests
	// there and sends no more.
	Capacity int64
	// Permits is how many more than InFlight the sender may have there and keeps: they
	// count there. Wanted is how many it would have in all; 0 while it has no use for any.
	// A reply has the permits of all replicas.
	Permits, Wanted int64
}

// Gone is the load of an endpoint that a replica no longer has.
const Gone = -1

// Closed is the capacity of an endpoint that a replica sends no more requests to. It says
// nothing of what the endpoint takes of others.
const Closed = -1

// Offer puts a ticket before the ledger.
type Offer struct {
	Ticket   policies.TicketID
	Flow     string
	Priority int
	// Rank is the ticket's place in its band, lowest first.
	Rank float64
	// Charge is what a grant adds to the flow's counter.
	Charge float64
	// Score orders tickets of equal rank, lowest first; then the ticket's id.
	Score float64
	// Weight is its flow's, by which Charge was divided; 0 stands for 1.
	Weight float64
	// Idle marks the first ticket of a flow that the owner saw idle.
	Idle bool
	// Group is the path of the group that its flow is in; empty for none. IdleGroups is how
	// many of the groups on that path, from the innermost, the owner saw idle.
	Group      string
	IdleGroups int
	// Tokens is what it takes of its flow's tokens per minute.
	Tokens float64
	// Prefer is the endpoint that its ingress would have it go to. Where endpoints have
	// capacities, a grant in the turn that states it is for that one, if the ingress states
	// it and it has room; later grants are for the least loaded. Empty for none.
	Prefer string
}

// Settlement adds Delta to a flow's counter, and takes Tokens more of its tokens per
// minute.
type Settlement struct {
	Flow     string
	Priority int
	Policy   string
	Delta    float64
	Tokens   float64
	// Group is the path of the group in which the flow was charged, and Service what the
	// groups on that path are charged more or less: Delta times the flow's weight, or
	// requests where the policy counts nothing.
	Group   string
	Service float64
	// Weight is the flow's, by which Delta was divided; 0 if the level does not follow.
	Weight float64
	// Counter is the flow's counter after the grant that is settled, the first if there are
	// several. It is used if the ledger has forgotten the counter since.
	Counter float64
	// Last, above zero, says that Delta charges requests that were let go by float, and
	// which charge the last of them had. The flow is lifted, and virtual time follows it, as
	// if they had been granted; but virtual time passes no flow that waits.
	Last float64
}

// Counter is a flow's counter, for a ledger that may have lost it.
type Counter struct {
	Flow     string
	Priority int
	Group    string // that the flow is in
	Value    float64
}
