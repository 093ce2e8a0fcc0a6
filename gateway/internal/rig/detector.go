package rig

import (
	"context"
	"time"

	"github.com/weirflow/weir/policies"
)

// Blocking is a saturation detector that says nothing until it may, so that flow control takes
// nothing in meanwhile.
type Blocking struct {
	policies.Named
	Until chan struct{} // each receive is one answer
}

// NewBlocking returns one that may say nothing yet.
func NewBlocking() *Blocking {
	return &Blocking{policies.NewNamed("blocking", "blocking"), make(chan struct{}, 1)}
}

// Saturation implements policies.SaturationDetector.
func (b *Blocking) Saturation(context.Context, time.Time, []policies.EndpointAccessor) float64 {
	<-b.Until
	return 0
}
