package saturation_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
)

func TestSaturation(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	read := func(age time.Duration, waiting int, kv float64) policytest.Endpoint {
		return policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: now.Add(-age), Waiting: waiting, KVCacheUsage: kv}}
	}
	busy := func(requests int, tokens int64) policytest.Endpoint {
		return policytest.Endpoint{Requests: requests, Tokens: tokens}
	}
	for _, c := range []struct {
		typ, parameters string
		endpoints       []policies.EndpointAccessor
		want            float64
	}{
		{"concurrency-detector", ``, nil, 1},
		{"concurrency-detector", `{"maxConcurrency": 10}`, []policies.EndpointAccessor{busy(10, 0), busy(0, 0)}, 0.5},
		{"concurrency-detector", `{"maxConcurrency": 10, "headroom": 1}`, []policies.EndpointAccessor{busy(10, 0)}, 0.5},
		{"concurrency-detector", `{"concurrencyMode": "tokens", "maxTokenConcurrency": 1000}`, []policies.EndpointAccessor{busy(1, 500), busy(1, 0)}, 0.25},
		{"concurrency-detector", `{"concurrencyMode": "hybrid", "maxConcurrency": 2, "maxTokenConcurrency": 1000}`, []policies.EndpointAccessor{busy(1, 100), busy(1, 900)}, 0.7},
		{"concurrency-detector", `{"concurrencyMode": "tokens"}`, nil, 1},
		{"utilization-detector", ``, nil, 1},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 5, 0)}, 1},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 1, 0.4), read(0, 0, 0)}, 0.25},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(201*time.Millisecond, 0, 0)}, 1},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(200*time.Millisecond, 0, 0)}, 0},
		{"utilization-where-readable-detector", ``, nil, 1},
		{"utilization-where-readable-detector", ``, []policies.EndpointAccessor{busy(30, 0), busy(10, 0)}, 0.2},
		{"utilization-where-readable-detector", ``, []policies.EndpointAccessor{read(0, 5, 0), busy(0, 0)}, 1},
		{"utilization-where-readable-detector", ``, []policies.EndpointAccessor{read(201*time.Millisecond, 0, 0)}, 1},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 21, 0), read(0, 1, 0)}, 0.6},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 20, 0), read(0, 1, 0)}, 2.1},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 1000, 0), read(0, 1000, 0), read(0, 0, 0.4), read(0, 0, 0)}, 0.625},
		{"utilization-detector", ``, []policies.EndpointAccessor{read(0, 1000, 0), read(0, 5, 0)}, 100.5},
		{"utilization-detector", `{"headroom": 1}`, []policies.EndpointAccessor{read(0, 1000, 0), read(0, 2, 0)}, 0.6},
		{"utilization-detector", `{"queueDepthThreshold": 10, "headroom": 1}`, []policies.EndpointAccessor{read(0, 10, 0)}, 0.5},
	} {
		p, err := builtin.Registry().New(c.typ, "", json.RawMessage(c.parameters))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.(policies.SaturationDetector).Saturation(t.Context(), now, c.endpoints); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.typ, c.parameters, got, c.want)
		}
	}
}

func TestStale(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	at := func(age time.Duration) policytest.Endpoint {
		return policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: now.Add(-age)}}
	}
	p, err := builtin.Registry().New("utilization-detector", "", json.RawMessage(`{"metricsStalenessThreshold": "1s"}`))
	if err != nil {
		t.Fatal(err)
	}
	never := policytest.Endpoint{}
	got := p.(policies.StaleCounter).Stale(now, []policies.EndpointAccessor{at(0), at(time.Second), at(time.Second + 1), never})
	if got != 2 {
		t.Errorf("%d of four are stale, want the one just too old and the one never read", got)
	}
}

func TestParameters(t *testing.T) {
	for typ, all := range map[string][]string{
		"concurrency-detector": {`{"concurrencyMode": "bytes"}`, `{"maxTokenConcurrency": 0}`, `{"concurrencyMode": "tokens", "headroom": -1}`},
		"utilization-detector": {
			`{"queueDepthThreshold": 0}`, `{"kvCacheUtilThreshold": 1.5}`, `{"metricsStalenessThreshold": "0s"}`,
			`{"metricsStalenessThreshold": 200}`, `{"metricsStalenessThreshold": "soon"}`, `{"headroom": 11}`,
		},
	} {
		for _, parameters := range all {
			if _, err := builtin.Registry().New(typ, "", json.RawMessage(parameters)); !errors.Is(err, policies.ErrParameters) {
				t.Errorf("%s %s: %v, want ErrParameters", typ, parameters, err)
			}
		}
	}
}
