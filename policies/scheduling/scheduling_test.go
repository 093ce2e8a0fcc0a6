package scheduling_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/scheduling"
)

// request asks for an adapter, and finds its prompt where cached says.
type request struct {
	model  string
	cached map[string]float64

	session string
	tokens  int64
	media   bool
}

func (r request) Model() string                 { return r.model }
func (r request) Cached(address string) float64 { return r.cached[address] }

func (r request) Session() string { return r.session }

func (r request) PromptTokens() int64 { return r.tokens }

func (r request) Media() bool { return r.media }

func TestScorers(t *testing.T) {
	endpoints := []policies.EndpointAccessor{
		policytest.Endpoint{Name: "idle"},
		policytest.Endpoint{Name: "half", Requests: 2, Reading: policies.EndpointMetrics{
			Waiting: 1, KVCacheUsage: 0.5, LoadedModels: []string{"b"}, WaitingModels: []string{"a"}, MaxLoadedModels: 2,
		}},
		policytest.Endpoint{Name: "busy", Requests: 4, Reading: policies.EndpointMetrics{
			Waiting: 4, KVCacheUsage: 1.2, LoadedModels: []string{"a"}, MaxLoadedModels: 1,
		}},
		policytest.Endpoint{Name: "roomy", Requests: 4, Reading: policies.EndpointMetrics{Waiting: 4, MaxLoadedModels: 4}},
	}
	r := request{model: "a", cached: map[string]float64{"half": 0.25, "busy": 1}}
	prefix, err := scheduling.PrefixCacheFactory("p", nil)
	if err != nil {
		t.Fatal(err)
	}
	loadAware, err := scheduling.LoadAwareFactory("a", json.RawMessage(`{"threshold": 2}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		scorer policies.EndpointScorer
		want   []float64
	}{
		"queue":   {scheduling.NewQueue("q"), []float64{1, 0.75, 0, 0}},
		"running": {scheduling.NewRunningRequests("r"), []float64{1, 0.5, 0, 0}},
		"aware":   {loadAware.(policies.EndpointScorer), []float64{0.5, 0.25, 0, 0}},
		"kv":      {scheduling.NewKVCache("k"), []float64{1, 0.5, 0, 1}},
		"prefix":  {prefix.(policies.EndpointScorer), []float64{0, 0.25, 1, 0}},
		"lora":    {scheduling.NewLoRAAffinity("l"), []float64{0, 0.6, 1, 0.8}},
	} {
		scores := make([]float64, len(endpoints))
		c.scorer.Score(r, endpoints, scores)
		if diff := cmp.Diff(c.want, scores); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	scores := make([]float64, 2)
	scheduling.NewQueue("q").Score(r, endpoints[2:], scores)
	if !slices.Equal(scores, []float64{1, 1}) {
		t.Errorf("equal queues: %v", scores)
	}
}

func TestPickers(t *testing.T) {
	registry := builtin.Registry()
	for typ, draws := range map[string]map[float64]int{
		scheduling.MaxScoreType:       {0: 2, 0.99: 2},
		scheduling.WeightedRandomType: {0: 0, 0.24: 0, 0.26: 2, 0.99: 2}, // 1 of 4, then 3 of 4
		scheduling.RandomType:         {0: 0, 0.49: 0, 0.51: 2, 0.999: 2},
	} {
		p, err := registry.New(typ, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		for draw, want := range draws {
			got := p.(policies.EndpointPicker).Pick([]float64{1, -1, 3}, func() float64 { return draw })
			if got != want {
				t.Errorf("%s of 1, none, 3 at %v: %d, want %d", typ, draw, got, want)
			}
		}
		if got := p.(policies.EndpointPicker).Pick([]float64{-1, 0, -1}, func() float64 { return 0.9 }); got != 1 {
			t.Errorf("%s of the only one, which scored 0: %d", typ, got)
		}
	}
}

func TestParameters(t *testing.T) {
	registry := builtin.Registry()
	for parameters, typ := range map[string]string{
		`{"maxNumOfEndpoints": 0}`:       scheduling.MaxScoreType,
		`{"maxNumOfEndpoints": 99}`:      scheduling.RandomType,
		`{"blockSize": 1}`:               scheduling.PrefixCacheType,
		`{"maxPrefixBlocksToMatch": 0}`:  scheduling.PrefixCacheType,
		`{"lruCapacityPerServer": -1}`:   scheduling.PrefixCacheType,
		`{"headerName": ""}`:             scheduling.HeaderProfileType,
		`{"headerName": "EPP profile"}`:  scheduling.HeaderProfileType,
		`{"primaryPort": 0}`:             scheduling.DataParallelType,
		`{"primaryPort": 65536}`:         scheduling.DataParallelType,
		`{"weight": 2}`:                  scheduling.QueueType,
		`{"blockSizeTokens": 100000000}`: scheduling.PrefixCacheType,
	} {
		if _, err := registry.New(typ, "", json.RawMessage(parameters)); !errors.Is(err, policies.ErrParameters) {
			t.Errorf("%s %s: %v", typ, parameters, err)
		}
	}
	p, err := registry.New(scheduling.PrefixCacheType, "", json.RawMessage(`{"blockSizeTokens": 16, "autoTune": false}`))
	if err != nil || p.(policies.PrefixReader).Prefixes() != (policies.PrefixIndexing{BlockSize: 64, MaxBlocks: 256, PerEndpoint: 31250}) {
		t.Errorf("%v, %v", p, err)
	}
}
