package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"

	"github.com/weirflow/weir/policies"
)

// MetricNames are the names of a model server's own metrics, as it exports them
// for Prometheus.
type MetricNames struct {
	// Waiting and Running count its sequences; KVCacheUsage is the share of its KV
	// cache in use, from 0 to 1.
	Waiting, Running, KVCacheUsage string
}

// VLLMMetrics are vLLM's.
func VLLMMetrics() MetricNames {
	return MetricNames{
		Waiting: "vllm:num_requests_waiting", Running: "vllm:num_requests_running", KVCacheUsage: "vllm:kv_cache_usage_perc",
	}
}

// SGLangMetrics are SGLang's.
func SGLangMetrics() MetricNames {
	return MetricNames{Waiting: "sglang:num_queue_reqs", Running: "sglang:num_running_reqs", KVCacheUsage: "sglang:token_usage"}
}

// Bounds on a scrape, in bytes and time.
const (
	maxScrape     = 4 << 20
	scrapeTimeout = time.Second
)

// errNoMetrics says that an endpoint answers and none of the metrics is there.
var errNoMetrics = errors.New("none of the metrics is exported")

// patience is how many times the controller may be told later than the interval
// because readings are missing.
const patience = 4

// observe reads the endpoints' metrics from now on, if any are named, and tells of
// the endpoints as often. It waits for a new reading of each: a limit that was
// raised on a reading must be seen to do no harm before it is raised again.
func (es *endpoints) observe(every time.Duration, names *MetricNames) {
	if names != nil {
		client := &http.Client{Timeout: scrapeTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2}}
		for _, e := range es.all {
			es.probes.Go(func() { es.scrape(e, client, every, *names) })
		}
	}
	es.probes.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		told := time.Now()
		for {
			select {
			case <-es.ctx.Done():
				return
			case now := <-ticker.C:
				if names == nil || es.readSince(told) || now.Sub(told) >= patience*every {
					es.tell()
					told = now
				}
			}
		}
	})
}

// readSince reports whether every endpoint that can be used was read since then.
func (es *endpoints) readSince(then time.Time) bool {
	for _, e := range es.all {
		if !e.down.Load() && !e.Metrics().ReadAt.After(then) {
			return false
		}
	}
	return true
}

// scrape reads one endpoint's metrics again and again. A failure leaves the last
// reading, which grows stale, and is logged when it is a new one.
func (es *endpoints) scrape(e *endpoint, client *http.Client, every time.Duration, names MetricNames) {
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	failed := ""
	for {
		m, err := read(es.ctx, client, e.url.JoinPath("/metrics").String(), names)
		switch {
		case es.ctx.Err() != nil:
			return
		case err == nil:
			e.reading.Store(m)
			failed = ""
		case err.Error() != failed:
			failed = err.Error()
			es.log.Warn("a model server's metrics cannot be read; it counts as saturated", zap.String("endpoint", e.url.Host), zap.Error(err))
		}
		select {
		case <-es.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// read takes one reading.
func read(ctx context.Context, client *http.Client, url string, names MetricNames) (*policies.EndpointMetrics, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	at := time.Now()
	res, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape %s: status %d", url, res.StatusCode)
	}
	m, err := parseMetrics(io.LimitReader(res.Body, maxScrape), names)
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", url, err)
	}
	m.ReadAt = at
	return m, nil
}

// parseMetrics reads the named metrics of a text in Prometheus's format. A metric
// with several series, such as one for each model, is added up; the KV cache's is
// the fullest.
func parseMetrics(text io.Reader, names MetricNames) (*policies.EndpointMetrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	waiting, running, kv := families[names.Waiting], families[names.Running], families[names.KVCacheUsage]
	if waiting == nil && kv == nil {
		return nil, fmt.Errorf("%w: %s, %s", errNoMetrics, names.Waiting, names.KVCacheUsage)
	}
	m := &policies.EndpointMetrics{}
	for _, s := range waiting.GetMetric() {
		m.Waiting += int(value(s))
	}
	for _, s := range running.GetMetric() {
		m.Running += int(value(s))
	}
	for _, s := range kv.GetMetric() {
		m.KVCacheUsage = max(m.KVCacheUsage, value(s))
	}
	return m, nil
}

// value is a sample's, bounded: it comes from the network.
func value(m *dto.Metric) float64 {
	v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
	if !(v > 0) { // negative, or not a number
		return 0
	}
	return min(v, 1e9)
}
