package saturation_test

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
)

// TestRoom wants a detector in a profile to leave out endpoints that are full by it, headroom included,
// and none where all are.
func TestRoom(t *testing.T) {
	now := time.Now()
	endpoint := func(requests, tokens, waiting int, kv float64, age time.Duration) policies.EndpointAccessor {
		return policytest.Endpoint{Requests: requests, Tokens: int64(tokens), Reading: policies.EndpointMetrics{ReadAt: now.Add(-age), Waiting: waiting, KVCacheUsage: kv}}
	}
	idle, old := endpoint(0, 0, 0, 0, 0), endpoint(0, 0, 0, 0, time.Hour)
	for name, c := range map[string]struct {
		factory    policies.Factory
		parameters string
		endpoints  []policies.EndpointAccessor
		want       []bool
	}{
		"requests":       {saturation.ConcurrencyFactory, `{"maxConcurrency": 4}`, []policies.EndpointAccessor{endpoint(3, 0, 0, 0, 0), endpoint(4, 0, 0, 0, 0), old}, []bool{true, false, true}},
		"with headroom":  {saturation.ConcurrencyFactory, `{"maxConcurrency": 4, "headroom": 0.5}`, []policies.EndpointAccessor{endpoint(5, 0, 0, 0, 0), endpoint(6, 0, 0, 0, 0)}, []bool{true, false}},
		"tokens":         {saturation.ConcurrencyFactory, `{"concurrencyMode": "tokens", "maxTokenConcurrency": 100}`, []policies.EndpointAccessor{endpoint(900, 99, 0, 0, 0), endpoint(0, 100, 0, 0, 0)}, []bool{true, false}},
		"hybrid":         {saturation.ConcurrencyFactory, `{"concurrencyMode": "hybrid", "maxConcurrency": 4, "maxTokenConcurrency": 100}`, []policies.EndpointAccessor{endpoint(4, 1, 0, 0, 0), endpoint(3, 99, 0, 0, 0)}, []bool{false, true}},
		"queues":         {saturation.UtilizationFactory, `{"metricsStalenessThreshold": "1m"}`, []policies.EndpointAccessor{endpoint(0, 0, 4, 0.7, 0), endpoint(0, 0, 5, 0, 0), endpoint(0, 0, 0, 0.8, 0), old}, []bool{true, false, false, false}},
		"all are full":   {saturation.ConcurrencyFactory, `{"maxConcurrency": 4}`, []policies.EndpointAccessor{endpoint(4, 0, 0, 0, 0), endpoint(9, 0, 0, 0, 0)}, []bool{true, true}},
		"none is read":   {saturation.UtilizationFactory, `{"metricsStalenessThreshold": "1m"}`, []policies.EndpointAccessor{old, old}, []bool{true, true}},
		"nothing to ask": {saturation.UtilizationFactory, `{"metricsStalenessThreshold": "1m"}`, []policies.EndpointAccessor{idle}, []bool{true}},
	} {
		p, err := c.factory("", json.RawMessage(c.parameters))
		if err != nil {
			t.Fatal(err)
		}
		keep := make([]bool, len(c.endpoints))
		filter := saturation.Room{Judge: p.(saturation.Judge)}
		if filter.Keep(nil, c.endpoints, keep); !slices.Equal(keep, c.want) {
			t.Errorf("%s: %v are kept, want %v", name, keep, c.want)
		}
		if policies.ReadsMetrics(filter) != policies.ReadsMetrics(p) || policies.CountsTokens(filter) != policies.CountsTokens(p) {
			t.Errorf("%s: the filter does not have what its detector goes by", name)
		}
	}
}

// TestStaleIsIgnored wants an endpoint without a fresh reading to count as full, or as nothing where the
// file says so and another has one.
func TestStaleIsIgnored(t *testing.T) {
	now := time.Now()
	half := policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: now, KVCacheUsage: 0.4}}
	old := policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: now.Add(-time.Hour)}}
	for policy, want := range map[string][2]float64{"saturated": {0.75, 1}, "ignore": {0.5, 1}} {
		p, err := saturation.UtilizationFactory("", json.RawMessage(`{"stalenessPolicy": "`+policy+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		d := p.(policies.SaturationDetector)
		some, none := d.Saturation(context.Background(), now, []policies.EndpointAccessor{half, old}), d.Saturation(context.Background(), now, []policies.EndpointAccessor{old, old})
		if math.Abs(some-want[0]) > 1e-9 || none != want[1] {
			t.Errorf("%s: one of two is stale: %v; both are: %v; want %v", policy, some, none, want)
		}
	}
}
