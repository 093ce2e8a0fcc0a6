package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// configMetrics tell how reading the configuration fares.
type configMetrics struct {
	successful, at prometheus.Gauge
	info           *prometheus.GaugeVec
}

func newConfigMetrics(constant prometheus.Labels) *configMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: constant})
	}
	return &configMetrics{
		successful: gauge("weir_config_last_reload_successful", "1 if the configuration could be read when it was last tried, 0 if the one before stays in effect."),
		at:         gauge("weir_config_last_reload_success_timestamp_seconds", "When the configuration in effect was read."),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_config_info", ConstLabels: constant,
			Help: "1; its label is a fingerprint of the settings that should be the same at all replicas of a pool.",
		}, []string{"fingerprint"}),
	}
}

func (m *configMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.successful, m.at, m.info}
}

// ConfigRead notes that a configuration with that fingerprint is in effect.
func (m *Metrics) ConfigRead(fingerprint string) {
	m.config.successful.Set(1)
	m.config.at.Set(float64(time.Now().UnixMilli()) / 1000)
	m.config.info.Reset()
	m.config.info.WithLabelValues(fingerprint).Set(1)
}

// ConfigRefused notes that a configuration could not be put into effect.
func (m *Metrics) ConfigRefused() { m.config.successful.Set(0) }
