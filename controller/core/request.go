package core

import (
	"time"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Request is a request that asks to be dispatched.
type Request struct {
	// Seq numbers the replica's requests over all its incarnations.
	Seq  uint64
	Flow policies.FlowKey
	// Sharer is who of those that share the flow; see [shard.Ticket].
	Sharer string
	// Bytes is the size of the body; InputTokens and OutputTokens are the
	// estimates that it is charged by until the real numbers are known.
	Bytes, InputTokens, OutputTokens int64
	// TTL shortens the configured one where it is above zero.
	TTL time.Duration
	// TargetTTFT is how soon its first token should come; 0 for no target.
	TargetTTFT time.Duration
	// ExpectedHold is how long it is expected to hold its slot; 0 where that is not known.
	ExpectedHold time.Duration
	// Prefer is the endpoint that it should go to, by more than how busy that is; empty for
	// none. It counts where endpoints have limits: elsewhere Place says where it went.
	Prefer string
	// Traced has its decision say when it was offered to the ledger.
	Traced bool
	// Tag comes back with the decision.
	Tag any
}

// Usage is what a request really cost.
type Usage struct {
	InputTokens, OutputTokens int64
	// Known is unset when the server did not say; the estimate then stands.
	Known bool
}

// request is a request whose connection is here, waiting or in flight. Each part of it
// belongs to the type that is named.
type request struct {
	shard.Ticket
	seq uint64 // its number; its ticket may have another, see ahead
	tag any

	// requests: whether it is among those that wait, its place and its time there.
	waits         bool
	cameNode      list.Node[*request]
	arrived       time.Time // by our own clock
	ttl           time.Duration
	deadline      time.Time // by our own clock; zero means never
	deadlineIndex int
	passIndex     int
	obstacle      Obstacle  // when it came
	offered       time.Time // to the ledger for the first time, as far as is known here, if it is traced
	lined         time.Time // line: when it came to stand there; zero while it does not
	limited       bool      // its flow or a group of it has limits of its own, as long as it waits

	// ahead: the requests of its flow, if they are watched, and its place among the tickets that
	// are ahead of them, or among those that came.
	coming    *coming
	aheadNode list.Node[*request]
	cameIndex int

	// handover: where it waits. The invariants are written there.
	home        *peer               // whose queue it waits in; nil once it does not wait
	owner       string              // whose queue it waited in last
	homeNode    list.Node[*request] // in the home's homed
	number      uint64              // of the message that handed it there; 0 for not yet
	former      *peer               // whose queue it also waits in, until home has it
	betweenNode list.Node[*request] // in handover.between while there is a former one
	kept        bool                // its owner handed it back, or it was in line: it stays here
	elsewhere   bool                // it was to wait at another replica, whose outbound may still have it

	// In flight: what it was charged and what that was for its flow's groups, under which
	// policy and in which group, and what that left its flow's counter at.
	charge   float64
	service  float64
	counter  float64
	policy   string
	group    string
	began    time.Time           // when it was dispatched, if it is charged for the time since
	heldNode list.Node[*request] // in holding.held, if so
	own      bool                // this replica let it go in an outage, and the ledger does not hear of it

	// durations: when it was dispatched, and its place among those in flight.
	dispatched  time.Time
	runningNode list.Node[*request]

	// loads: where it counts, and with how many tokens; whether it went without the ledger, and whether
	// it was said where it goes. If it goes elsewhere after that, it has to.
	endpoint string
	tokens   int64
	alone    bool
	placed   bool

	// revocations: whether it could be revoked when it was dispatched, and its place among
	// those that may be.
	revocable   bool
	revokeScore float64
	revokeIndex int
}

// prefers reports whether that is the endpoint that it prefers.
func (r *request) prefers(endpoint string) bool { return endpoint != "" && endpoint == r.Prefer }

// ahead reports whether it is a ticket whose request has not come.
func (r *request) ahead() bool { return r.Ahead }

// inLine reports whether it waits in line here, and in no queue.
func (r *request) inLine() bool { return !r.lined.IsZero() }

// mayWait has its ticket's time in the queue end so long after it arrived, by the ledger's
// clock; 0 for never.
func (r *request) mayWait(ttl time.Duration) {
	r.Deadline = time.Time{}
	if ttl > 0 {
		r.Deadline = r.Arrival.Add(ttl)
	}
}

// charged takes in what the ledger charged for it.
func (r *request) charged(m *store.Message) {
	r.policy, r.group, r.charge, r.counter = m.Policy, m.Group, m.Charge, m.Counter
	if r.group != "" {
		r.service = m.Service
	}
}

// account is where it was charged.
func (r *request) account() account { return account{r.Flow, r.policy, r.group} }
