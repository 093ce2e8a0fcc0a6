package policytest

import (
	"iter"
	"time"

	"github.com/weirflow/weir/policies"
)

// epoch is the arrival of the first item.
var epoch = time.Unix(1_800_000_000, 0)

// Item is a request to test with. It implements policies.QueueItemAccessor.
type Item struct {
	Key           policies.FlowKey
	At            time.Time
	Size          int64
	Input, Output int64
	Until         time.Time     // the deadline
	TTFT          time.Duration // the target
	Expects       time.Duration // to hold a slot
	Holds         time.Duration // one, by now
}

// FlowKey implements policies.QueueItemAccessor.
func (i *Item) FlowKey() policies.FlowKey { return i.Key }

// Arrival implements policies.QueueItemAccessor.
func (i *Item) Arrival() time.Time { return i.At }

// Deadline implements policies.QueueItemAccessor.
func (i *Item) Deadline() time.Time { return i.Until }

// TargetTTFT implements policies.QueueItemAccessor.
func (i *Item) TargetTTFT() time.Duration { return i.TTFT }

// ByteSize implements policies.QueueItemAccessor.
func (i *Item) ByteSize() int64 { return i.Size }

// InputTokens implements policies.QueueItemAccessor.
func (i *Item) InputTokens() int64 { return i.Input }

// OutputTokens implements policies.QueueItemAccessor.
func (i *Item) OutputTokens() int64 { return i.Output }

// ExpectedHold implements policies.QueueItemAccessor.
func (i *Item) ExpectedHold() time.Duration { return i.Expects }

// Held implements policies.QueueItemAccessor.
func (i *Item) Held() time.Duration { return i.Holds }

// Flow is a queue to test with, first come first served. It implements
// policies.FlowQueueAccessor.
type Flow struct {
	Key     policies.FlowKey
	Share   float64
	Items   []*Item
	Service float64 // the counter
}

// FlowKey implements policies.FlowQueueAccessor.
func (f *Flow) FlowKey() policies.FlowKey { return f.Key }

// Len implements policies.FlowQueueAccessor.
func (f *Flow) Len() int { return len(f.Items) }

// Weight implements policies.FlowQueueAccessor.
func (f *Flow) Weight() float64 { return f.Share }

// Counter implements policies.FlowQueueAccessor.
func (f *Flow) Counter() float64 { return f.Service }

// Head implements policies.FlowQueueAccessor.
func (f *Flow) Head() policies.QueueItemAccessor {
	if len(f.Items) == 0 {
		return nil
	}
	return f.Items[0]
}

// HeadScore implements policies.FlowQueueAccessor.
func (f *Flow) HeadScore() float64 {
	if len(f.Items) == 0 {
		return 0
	}
	return policies.ArrivalScore(f.Items[0])
}

// Band is a priority band to test with. It implements
// policies.PriorityBandAccessor.
type Band struct {
	Queues []*Flow
	Kept   any // the policy's state
	clock  time.Duration
}

// NewBand returns a band whose flows have the given numbers of requests, all of
// weight 1 and arriving in turn.
func NewBand(state any, lengths ...int) *Band {
	b := &Band{Kept: state}
	for i, n := range lengths {
		f := &Flow{Key: policies.FlowKey{ID: string(rune('a' + i))}, Share: 1}
		b.Queues = append(b.Queues, f)
		for range n {
			b.Arrive(f)
		}
	}
	return b
}

// Arrive adds a request to a flow of the band.
func (b *Band) Arrive(f *Flow) {
	b.clock += time.Millisecond
	f.Items = append(f.Items, &Item{Key: f.Key, At: epoch.Add(b.clock), Size: 100, Input: 10, Output: 20})
}

// Serve takes the head of a picked flow, and charges the flow for it when the
// policy counts.
func (b *Band) Serve(p policies.FairnessPolicy, picked policies.FlowQueueAccessor) *Item {
	f := picked.(*Flow)
	item := f.Items[0]
	f.Items = f.Items[1:]
	if c, ok := p.(policies.CountingPolicy); ok {
		f.Service += c.Charge(item) / f.Share
	}
	return item
}

// Priority implements policies.PriorityBandAccessor.
func (b *Band) Priority() int { return 0 }

// State implements policies.PriorityBandAccessor.
func (b *Band) State() any { return b.Kept }

// Len implements policies.PriorityBandAccessor.
func (b *Band) Len() int { return len(b.Queues) }

// Flows implements policies.PriorityBandAccessor.
func (b *Band) Flows() iter.Seq[policies.FlowQueueAccessor] {
	return func(yield func(policies.FlowQueueAccessor) bool) {
		for _, f := range b.Queues {
			if !yield(f) {
				return
			}
		}
	}
}
