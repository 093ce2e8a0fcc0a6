package saturation_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
)

// TestMaxIsTheFullest wants the pool to be as full as the fuller of two detectors says, and the
// readings that only one of them needs to be read.
func TestMaxIsTheFullest(t *testing.T) {
	now := time.Unix(1000, 0)
	made := func(factory policies.Factory, parameters string) policies.Plugin {
		p, err := factory("", json.RawMessage(parameters))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	d := made(saturation.MaxFactory, `{"detectors": ["slots", "queue"]}`).(*saturation.Max)
	d.Of(made(saturation.ConcurrencyFactory, `{"maxConcurrency": 10}`).(policies.SaturationDetector),
		made(saturation.UtilizationFactory, `{"queueDepthThreshold": 10}`).(policies.SaturationDetector))
	if !policies.ReadsMetrics(d) {
		t.Error("it does not read what one of them needs")
	}
	for _, c := range []struct {
		inFlight, waiting int
		want              float64
	}{{5, 2, 0.5}, {2, 7, 0.7}, {20, 0, 2}} {
		e := policytest.Endpoint{Name: "e", Requests: c.inFlight, Reading: policies.EndpointMetrics{ReadAt: now, Waiting: c.waiting}}
		if got := d.Saturation(context.Background(), now, []policies.EndpointAccessor{e}); got != c.want {
			t.Errorf("%d in flight, %d waiting: %v, want %v", c.inFlight, c.waiting, got, c.want)
		}
	}
}
