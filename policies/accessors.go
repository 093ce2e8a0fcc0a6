package policies

import (
	"iter"
	"time"
)

// QueueItemAccessor is a policy's view of one waiting request. It is valid only
// during the call it was passed to.
type QueueItemAccessor interface {
	// FlowKey is the flow the request belongs to.
	FlowKey() FlowKey
	// Arrival is when the request was enqueued, by the ledger's clock.
	Arrival() time.Time
	// Deadline is when its time in the queue ends; zero means never.
	Deadline() time.Time
	// TargetTTFT is how soon after its arrival its first token should come; 0 when
	// it states no target.
	TargetTTFT() time.Duration
	// ByteSize is the size of its body in bytes.
	ByteSize() int64
	// InputTokens is the estimated length of the prompt, in tokens.
	InputTokens() int64
	// OutputTokens is the expected length of the answer, in tokens. The charge
	// made with it is settled once the real number is known.
	OutputTokens() int64
	// ExpectedHold is how long it is expected to hold its slot of the pool, as the last of
	// its flow did; 0 when that is not known.
	ExpectedHold() time.Duration
	// Held is how long the request has held its slot of the pool, or had when it ended;
	// 0 while it waits.
	Held() time.Duration
}

// FlowQueueAccessor is a policy's view of one flow's queue.
type FlowQueueAccessor interface {
	// FlowKey names the flow.
	FlowKey() FlowKey
	// Len is the number of requests a policy may choose from here: those that
	// wait and do not stand before the ledger yet. It is 0 for a flow that is at
	// a limit of its own.
	Len() int
	// Head is the request the ordering policy puts first, or nil when the queue
	// is empty.
	Head() QueueItemAccessor
	// HeadScore is the head's place by the band's ordering policy, lowest first:
	// what its [Scorer] says, or a number that keeps its Less among the requests
	// that this replica queues. It is 0 when the queue is empty.
	HeadScore() float64
	// Weight is the flow's configured share; above zero, 1 by default.
	Weight() float64
	// Counter is, under a [CountingPolicy], the service the flow has received
	// over its weight, including what its standing offers will add; 0 under
	// others.
	Counter() float64
}

// PriorityBandAccessor is a policy's view of all flows of one priority.
type PriorityBandAccessor interface {
	// Priority is the band's number; a higher one goes first.
	Priority() int
	// State is what the band's fairness policy returned from NewState.
	State() any
	// Len is the number of flows in the band.
	Len() int
	// Flows iterates over the band's flows in the order of their ids. It
	// includes flows whose queue is empty.
	Flows() iter.Seq[FlowQueueAccessor]
}
