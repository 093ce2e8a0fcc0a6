// Package urgentfirst has a band policy between strict and weighted: an example of a plug-in
// that does not come with Weir.
package urgentfirst

import (
	"encoding/json"

	"github.com/weirflow/weir/policies"
)

// Type is the type, as configurations name it.
const Type = "urgent-first-band-policy"

// Register adds the type to a registry.
func Register(r *policies.Registry) error { return r.Register(Type, Factory) }

// Parameters are what the type takes.
type Parameters struct {
	// From is the lowest priority that goes before all lower ones; 100 if it is left out.
	From *int `json:"from"`
}

// Policy has urgent priorities go strictly, the higher first, and those below them share what
// they leave by the weights of the configuration.
type Policy struct {
	policies.Named
	from int
}

// Factory is the factory of [Type].
func Factory(name string, parameters json.RawMessage) (policies.Plugin, error) {
	var p Parameters
	if err := policies.DecodeParameters(parameters, &p); err != nil {
		return nil, err
	}
	from := 100
	if p.From != nil {
		from = *p.From
	}
	return &Policy{policies.NewNamed(Type, name), from}, nil
}

// BandWeight implements [policies.BandPolicy].
func (p *Policy) BandWeight(priority int, configured float64) float64 {
	if priority >= p.from {
		return 0
	}
	return configured
}

var _ policies.BandPolicy = (*Policy)(nil)
