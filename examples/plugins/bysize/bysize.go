// Package bysize has policies that go by the sizes of requests' bodies: an example of
// plug-ins that do not come with Weir.
package bysize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// The types, as configurations name them.
const (
	SmallestFirstType = "smallest-first-ordering-policy"
	FairBytesType     = "fair-bytes-fairness-policy"
)

// Register adds the types to a registry.
func Register(r *policies.Registry) error {
	return errors.Join(
		r.Register(SmallestFirstType, policies.WithoutParameters(NewSmallestFirst)),
		r.Register(FairBytesType, FairBytesFactory),
	)
}

// SmallestFirst serves a flow's smallest requests first. It compares and has no score.
type SmallestFirst struct{ policies.Named }

// NewSmallestFirst returns the policy under the name.
func NewSmallestFirst(name string) *SmallestFirst {
	return &SmallestFirst{policies.NewNamed(SmallestFirstType, name)}
}

// Less implements [policies.OrderingPolicy].
func (*SmallestFirst) Less(a, b policies.QueueItemAccessor) bool { return a.ByteSize() < b.ByteSize() }

// FairBytesParameters are what the type takes.
type FairBytesParameters struct {
	// OverheadBytes is added to the size of every request; 0.
	OverheadBytes int64 `json:"overheadBytes"`
}

// FairBytes gives every waiting flow the same number of bytes for its weight. It is of
// the counting kind: the ledger keeps what each flow was charged, for the whole fleet.
type FairBytes struct {
	policies.Named
	parameters FairBytesParameters
}

// FairBytesFactory is the factory of [FairBytesType].
func FairBytesFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p FairBytesParameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	if p.OverheadBytes < 0 {
		return nil, fmt.Errorf("%w: overheadBytes is %d, it must not be negative", policies.ErrParameters, p.OverheadBytes)
	}
	return &FairBytes{policies.NewNamed(FairBytesType, name), p}, nil
}

// NewState implements [policies.FairnessPolicy]: the counters are all there is to
// remember.
func (*FairBytes) NewState(context.Context) any { return nil }

// Pick implements [policies.FairnessPolicy].
func (*FairBytes) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return policies.PickLeastServed(band), nil
}

// Charge implements [policies.CountingPolicy].
func (p *FairBytes) Charge(item policies.QueueItemAccessor) float64 {
	return float64(item.ByteSize() + p.parameters.OverheadBytes)
}

// Account implements [policies.Accountant]: counters that count another overhead are
// not compared with these, as they would be while a fleet is being reconfigured.
func (p *FairBytes) Account() policies.Account {
	return policies.Account{LiftsIdle: true, Unit: fmt.Sprintf("bytes+%d", p.parameters.OverheadBytes)}
}
