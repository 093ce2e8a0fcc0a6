package store

import (
	"context"
	"time"
)

// Metering is implemented by a ledger that keeps what flows used, by the hour. It works
// beside the turns, as [Overriding] does. It is safe for concurrent use.
type Metering interface {
	// AddUsage adds a batch to what flows used in its hour. A batch that was added before is
	// not added again, so that one whose answer was lost can be repeated: until it succeeds,
	// a writer adds no other to the same hour.
	AddUsage(ctx context.Context, b *UsageBatch) error
	// Usage calls visit with what each flow used in each hour that begins at or after from
	// and before to, in no order of the flows.
	Usage(ctx context.Context, from, to time.Time, visit func(hour time.Time, u Usage)) error
}

// UsageBatch is what one writer adds to an hour.
type UsageBatch struct {
	// Hour is when the hour began.
	Hour time.Time
	// Writer tells the writer, a run of a replica, from others; Number grows from one of its
	// batches to the next.
	Writer string
	Number uint64
	Flows  []Usage
}

// Usage is what a flow used.
type Usage struct {
	// Flow is its id.
	Flow string
	// Requests are those that were dispatched and have ended.
	Requests int64
	// TokensIn, TokensCached and TokensOut are what model servers counted: prompts, the part
	// of them that was in a cache, and answers.
	TokensIn, TokensCached, TokensOut int64
	// Charged is the tokens that the requests were charged in the end.
	Charged int64
	// Held is for how long they held slots of the pool.
	Held time.Duration
}

// Add adds what was used beside it.
func (u *Usage) Add(o *Usage) {
	u.Requests += o.Requests
	u.TokensIn += o.TokensIn
	u.TokensCached += o.TokensCached
	u.TokensOut += o.TokensOut
	u.Charged += o.Charged
	u.Held += o.Held
}

// Bounds on usage.
const (
	// UsageKept is for how long what was used in an hour is kept.
	UsageKept = 35 * 24 * time.Hour
	// MaxUsageFlows is how many flows are told apart in an hour; further ones are OtherFlows
	// together.
	MaxUsageFlows = 2000
	// OtherFlows is the id under which they are.
	OtherFlows = "(others)"
)
