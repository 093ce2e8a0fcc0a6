package core

import (
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Ready is what the driver must carry out.
//
// The parts need no order among each other, but for two. Decisions, Revoked and Loads are
// carried out before the turn where the driver takes turns in its own loop: who waits for
// them should not wait for the ledger. And nothing is fed to the core between a Ready and
// the copying of its slices. Carrying a part out late, or not at all, costs time and no
// invariant, except for Decisions: each ends one request's wait, and a dispatched one
// holds a slot until Release. Whatever is lost of Messages and of the turn is said again.
type Ready struct {
	// Decisions are waits that ended. The slice is valid until the next
	// Ready.
	Decisions []Decision
	// Revoked numbers requests in flight that are to be ended for the sake of
	// others. They stay in flight until Release.
	Revoked []uint64
	// Loads are the other replicas' requests at each endpoint; nil if they are not new.
	Loads []store.Load
	// Messages are to be sent to other replicas, to each in this order. They are the
	// driver's to keep.
	Messages []coordinator.Message
	// Turn is a statement to take to the ledger, or nil. TurnDone must be
	// called with its end before another is handed out.
	Turn *store.Statement
	// Moves are changes of the shard map that are over.
	Moves []Move
	// FailedPicks are fairness policies' first failures to choose, of each band.
	FailedPicks []shard.FailedPick
	// Left is set once the turn that ended this replica's lease is over, or another
	// process has taken its id: there will be no further turn.
	Left bool
	// Retired is set while this replica retires and no other replica's ticket waits here.
	Retired bool
}

// Decision ends a request's wait.
type Decision struct {
	Ticket  policies.TicketID
	Tag     any
	Outcome Outcome
	// Err says why it was not dispatched.
	Err error
	// Owner is the replica in whose queue it waited last, Obstacle what stood in its way
	// when it came, and Charge what it was charged if it was dispatched.
	Owner    string
	Obstacle Obstacle
	Charge   float64
	// Endpoint is the endpoint that a dispatched request was granted for, and
	// EndpointInFlight its load then, by the ledger's count: no endpoint had less, unless
	// it is Preferred, the one that the request preferred. It is empty if the ledger counts
	// none. The request counts there until Place says that it went elsewhere.
	Endpoint         string
	EndpointInFlight int64
	Preferred        bool
	// Revocable is set if a dispatched request may be among the Revoked before it is
	// released.
	Revocable bool
	// ByFloat is set if a dispatched request went by a permit of this replica's float.
	ByFloat bool
	// Offered is when a traced request was offered to the ledger, as far as this replica
	// heard, and Lined when one that went from the line came to stand there; by this
	// replica's clock, and the zero time if it did not.
	Offered, Lined time.Time
}

// Move is a change of the shard map, for an operator.
type Move struct {
	// Version is the map's version here.
	Version uint64
	// Began is when the members changed, and Took how long it was until no
	// ticket of this replica waited in two queues any more.
	Began time.Time
	Took  time.Duration
	// Joined and Left are the replicas that came and went as owners.
	Joined, Left []string
	// Shards is how many shards have another owner now, Tickets how many waiting
	// requests of this replica moved with them.
	Shards, Tickets int
}
