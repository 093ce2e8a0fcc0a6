package urgentfirst_test

import (
	"errors"
	"testing"

	"github.com/weirflow/weir/examples/plugins/urgentfirst"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
)

func TestConformance(t *testing.T) {
	for name, parameters := range map[string]string{"nothing said": ``, "all below": `{"from": 1000}`, "one urgent": `{"from": 10}`, "all urgent": `{"from": -1000}`} {
		t.Run(name, func(t *testing.T) {
			policytest.Bands(t, func() policies.BandPolicy {
				p, err := urgentfirst.Factory("mine", []byte(parameters))
				if err != nil {
					t.Fatal(err)
				}
				return p.(policies.BandPolicy)
			})
		})
	}
}

func TestParameters(t *testing.T) {
	if _, err := urgentfirst.Factory("mine", []byte(`{"form": 10}`)); !errors.Is(err, policies.ErrParameters) {
		t.Errorf("a misspelt parameter: %v", err)
	}
	p, err := urgentfirst.Factory("mine", nil)
	if err != nil {
		t.Fatal(err)
	}
	for priority, want := range map[int]float64{101: 0, 100: 0, 99: 3, -1: 3} {
		if got := p.(policies.BandPolicy).BandWeight(priority, 3); got != want {
			t.Errorf("priority %d of weight 3: %v, want %v", priority, got, want)
		}
	}
}
