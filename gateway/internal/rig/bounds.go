package rig

import (
	"testing"

	"github.com/weirflow/weir/gateway/flows"
)

// Bounded gives all requests of a rig the timeouts.
func Bounded(t flows.Timeouts) func(*Config) {
	return func(c *Config) { c.Rules.Timeouts = func(string, string) flows.Timeouts { return t } }
}

// OverBound is how many requests went beyond a bound.
func (r *Rig) OverBound(t testing.TB, name string) float64 {
	t.Helper()
	return r.Figure(t, "weir_requests_over_bound_total", "bound", name)
}
