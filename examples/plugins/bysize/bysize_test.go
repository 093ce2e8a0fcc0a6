package bysize_test

import (
	"errors"
	"testing"

	"github.com/weirflow/weir/examples/plugins/bysize"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
)

func TestSmallestFirst(t *testing.T) {
	policytest.Ordering(t, func() policies.OrderingPolicy { return bysize.NewSmallestFirst("mine") })
}

func TestFairBytes(t *testing.T) {
	policytest.Fairness(t, func() policies.FairnessPolicy {
		p, err := bysize.FairBytesFactory("mine", []byte(`{"overheadBytes": 200}`))
		if err != nil {
			t.Fatal(err)
		}
		return p.(policies.FairnessPolicy)
	})
	if _, err := bysize.FairBytesFactory("mine", []byte(`{"overheadBytes": -1}`)); !errors.Is(err, policies.ErrParameters) {
		t.Errorf("a negative overhead: %v", err)
	}
}
