package policytest

import "github.com/weirflow/weir/policies"

// Endpoint is a model server to test with. It implements
// policies.EndpointAccessor.
type Endpoint struct {
	Name     string
	Requests int
	Tokens   int64
	Reading  policies.EndpointMetrics
	Marks    map[string]string
}

// Labels implements policies.Labelled.
func (e Endpoint) Labels() map[string]string { return e.Marks }

// Address implements policies.EndpointAccessor.
func (e Endpoint) Address() string { return e.Name }

// InFlight implements policies.EndpointAccessor.
func (e Endpoint) InFlight() int { return e.Requests }

// InFlightTokens implements policies.EndpointAccessor.
func (e Endpoint) InFlightTokens() int64 { return e.Tokens }

// Metrics implements policies.EndpointAccessor.
func (e Endpoint) Metrics() policies.EndpointMetrics { return e.Reading }
