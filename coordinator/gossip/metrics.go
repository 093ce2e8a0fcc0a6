package gossip

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the fleet's own, for the pool that the replica serves.
func (f *Fleet) Metrics(pool string) prometheus.Collector {
	describe := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("weir_fleet_"+name, help, nil, prometheus.Labels{"inference_pool": pool})
	}
	return &metrics{
		fleet:    f,
		apart:    describe("members_of_other_ledgers", "Live replicas in the gossip that keep another ledger: they share neither queues nor limits with this one."),
		differ:   describe("members_with_other_settings", "Live replicas whose limits, policies or tenants' settings differ from this one's."),
		refusals: describe("streams_refused_total", "Ticket streams that were refused: from strangers, and from replicas that cannot be worked with."),
	}
}

type metrics struct {
	fleet                   *Fleet
	apart, differ, refusals *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.apart
	out <- m.differ
	out <- m.refusals
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	members, differ := m.fleet.members(), 0
	for _, live := range members.Live {
		if live.Differs != "" {
			differ++
		}
	}
	out <- prometheus.MustNewConstMetric(m.apart, prometheus.GaugeValue, float64(len(members.Apart)))
	out <- prometheus.MustNewConstMetric(m.differ, prometheus.GaugeValue, float64(differ))
	out <- prometheus.MustNewConstMetric(m.refusals, prometheus.CounterValue, float64(m.fleet.streams.Refused()))
}
