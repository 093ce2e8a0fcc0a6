package rig

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Figure sums the values of a metric's series that have the labels, each a name and a value; of
// a histogram, how often it was observed.
func (r *Rig) Figure(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	return sumOf(t, r.Metrics, name, labels...)
}

// Figure is the same of one collector.
func Figure(t testing.TB, of prometheus.Collector, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(of)
	return sumOf(t, registry, name, labels...)
}

// MemoryUsed is how much of the budget for requests is used, in bytes.
func (r *Rig) MemoryUsed(t testing.TB) float64 {
	t.Helper()
	return r.Figure(t, "weir_memory_budget_used_bytes")
}

func sumOf(t testing.TB, from prometheus.Gatherer, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := make(map[string]string)
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			matches := true
			for i := 0; i+1 < len(labels); i += 2 {
				matches = matches && has[labels[i]] == labels[i+1]
			}
			if matches {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}
