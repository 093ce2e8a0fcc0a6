package policytest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
)

// TestBuiltins runs the suite over every registered fairness policy.
func TestBuiltins(t *testing.T) {
	r := builtin.Registry()
	ran := 0
	needed := map[string]string{"priority-holdback-policy": `{"minCeiling": 0.5}`}
	for _, typ := range r.Types() {
		p, err := r.New(typ, "", []byte(needed[typ]))
		if err != nil {
			t.Fatalf("%s with its defaults: %v", typ, err)
		}
		if _, ok := p.(policies.FairnessPolicy); !ok {
			continue
		}
		ran++
		t.Run(typ, func(t *testing.T) {
			policytest.Fairness(t, func() policies.FairnessPolicy {
				p, err := r.New(typ, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				return p.(policies.FairnessPolicy)
			})
		})
	}
	if ran < 4 {
		t.Errorf("%d fairness policies found", ran)
	}
}

// ring is an outsider's policy that only picks: it goes round by a cursor kept
// in the band's state.
type ring struct{ broken string }

type cursor struct{ at int }

var leaked cursor

func (r ring) TypedName() policies.TypedName { return policies.TypedName{Type: "ring", Name: "ring"} }
func (r ring) NewState(context.Context) any  { return &cursor{} }
func (r ring) Pick(_ context.Context, band policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	if band == nil {
		return nil, nil
	}
	c := band.State().(*cursor)
	if r.broken == "StateOnlyThroughNewState" {
		c = &leaked
	}
	var flows []policies.FlowQueueAccessor
	for f := range band.Flows() {
		if r.broken == "EmptyQueuesAreSkipped" || f.Len() > 0 {
			flows = append(flows, f)
		}
	}
	if len(flows) == 0 {
		return nil, nil
	}
	if r.broken == "NoFlowStarves" {
		return flows[0], nil
	}
	c.at++
	return flows[c.at%len(flows)], nil
}

func TestOutsidersPolicy(t *testing.T) {
	policytest.Fairness(t, func() policies.FairnessPolicy { return ring{} })
}

// recorder notes whether a check found fault.
type recorder struct{ faults []string }

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// TestChecksFindFault breaks the ring in one way after another.
func TestChecksFindFault(t *testing.T) {
	for _, c := range policytest.Checks() {
		switch c.Name {
		case "EmptyQueuesAreSkipped", "NoFlowStarves", "StateOnlyThroughNewState":
			r := &recorder{}
			c.Run(r, func() policies.FairnessPolicy { return ring{broken: c.Name} })
			if len(r.faults) == 0 {
				t.Errorf("%s finds no fault with a policy that breaks it", c.Name)
			}
		}
	}
}
