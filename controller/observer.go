package controller

import (
	"time"

	"github.com/weirflow/weir/policies"
)

// Observer hears of what a controller does, for metrics. Its methods are called
// on hot paths from many goroutines and must return at once.
type Observer interface {
	// Decided is called once per request with its outcome, how long it waited and the trace
	// that it is a part of, which is empty for none.
	Decided(flow policies.FlowKey, outcome Outcome, waited time.Duration, trace string)
	// TurnTaken is called once per turn with how long it took and how it ended.
	TurnTaken(took time.Duration, err error)
}

// Observers are several observers as one.
type Observers []Observer

// Decided implements Observer.
func (all Observers) Decided(flow policies.FlowKey, outcome Outcome, waited time.Duration, trace string) {
	for _, o := range all {
		o.Decided(flow, outcome, waited, trace)
	}
}

// TurnTaken implements Observer.
func (all Observers) TurnTaken(took time.Duration, err error) {
	for _, o := range all {
		o.TurnTaken(took, err)
	}
}
