package scheduling

import (
	"encoding/json"
	"fmt"

	"github.com/weirflow/weir/policies"
)

// Types of the pickers.
const (
	MaxScoreType       = "max-score-picker"
	WeightedRandomType = "weighted-random-picker"
	RandomType         = "random-picker"
)

// PickerParameters are what pickers take.
type PickerParameters struct {
	// MaxNumOfEndpoints is how many endpoints are picked; 1. Those after the first are
	// fallbacks for when it cannot be reached, which only ext_proc uses.
	MaxNumOfEndpoints int `json:"maxNumOfEndpoints"`
}

// MaxScore picks the endpoint with the highest score.
type MaxScore struct{ picker }

// WeightedRandom picks an endpoint with a probability in proportion to its score.
type WeightedRandom struct{ picker }

// Random picks any endpoint, whatever its score.
type Random struct{ picker }

// picker is what all of them are.
type picker struct {
	policies.Named
	endpoints int
}

// Endpoints implements [policies.EndpointPicker].
func (p picker) Endpoints() int { return p.endpoints }

// Pick implements [policies.EndpointPicker].
func (MaxScore) Pick(scores []float64, _ func() float64) int {
	best := 0
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return best
}

// Pick implements [policies.EndpointPicker].
func (WeightedRandom) Pick(scores []float64, draw func() float64) int {
	return pick(scores, draw, func(score float64) float64 { return score })
}

// Pick implements [policies.EndpointPicker].
func (Random) Pick(scores []float64, draw func() float64) int {
	return pick(scores, draw, func(float64) float64 { return 1 })
}

// pick draws among the scores that are not negative, in proportion to their weights,
// or evenly if these are all 0.
func pick(scores []float64, draw func() float64, weight func(score float64) float64) int {
	sum, last := 0.0, 0
	for i, s := range scores {
		if s >= 0 {
			sum += weight(s)
			last = i
		}
	}
	if sum == 0 {
		weight = func(float64) float64 { return 1 }
		for _, s := range scores {
			if s >= 0 {
				sum++
			}
		}
	}
	at := draw() * sum
	for i, s := range scores {
		if s < 0 {
			continue
		}
		if at -= weight(s); at < 0 {
			return i
		}
	}
	return last
}

// MaxScoreFactory is the factory of [MaxScoreType].
func MaxScoreFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p, err := newPicker(MaxScoreType, name, parameters)
	return MaxScore{p}, err
}

// WeightedRandomFactory is the factory of [WeightedRandomType].
func WeightedRandomFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p, err := newPicker(WeightedRandomType, name, parameters)
	return WeightedRandom{p}, err
}

// RandomFactory is the factory of [RandomType].
func RandomFactory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	p, err := newPicker(RandomType, name, parameters)
	return Random{p}, err
}

func newPicker(typ, name string, parameters json.RawMessage) (picker, error) {
	p := PickerParameters{MaxNumOfEndpoints: 1}
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return picker{}, err
	}
	if p.MaxNumOfEndpoints < 1 || p.MaxNumOfEndpoints > 10 {
		return picker{}, fmt.Errorf("%w: maxNumOfEndpoints is %d, it must be from 1 to 10", policies.ErrParameters, p.MaxNumOfEndpoints)
	}
	return picker{policies.NewNamed(typ, name), p.MaxNumOfEndpoints}, nil
}
