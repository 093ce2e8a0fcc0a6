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

// made is a plug-in of a type.
func made(t *testing.T, typ, parameters string) policies.Plugin {
	t.Helper()
	p, err := builtin.Registry().New(typ, "", json.RawMessage(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// kept are the addresses that a filter keeps.
func kept(f policies.Plugin, r policies.SchedulingRequest, endpoints []policies.EndpointAccessor) (names []string) {
	keep := make([]bool, len(endpoints))
	f.(policies.EndpointFilter).Keep(r, endpoints, keep)
	for i, e := range endpoints {
		if keep[i] {
			names = append(names, e.Address())
		}
	}
	return names
}

func TestLabelFilters(t *testing.T) {
	endpoints := []policies.EndpointAccessor{policytest.Endpoint{Name: "none"}}
	for _, role := range []string{"encode", "prefill", "decode", "both", "prefill-decode", "encode-prefill", "encode-prefill-decode"} {
		endpoints = append(endpoints, policytest.Endpoint{Name: role, Marks: map[string]string{"llm-d.ai/role": role, "gpu": "H100"}})
	}
	for _, c := range []struct {
		typ, parameters string
		want            []string
	}{
		{"decode-filter", "", []string{"none", "decode", "both", "prefill-decode", "encode-prefill-decode"}},
		{"prefill-filter", "", []string{"prefill", "both", "prefill-decode", "encode-prefill", "encode-prefill-decode"}},
		{"encode-filter", "", []string{"encode", "encode-prefill", "encode-prefill-decode"}},
		{"label-selector-filter", `{"matchLabels": {"llm-d.ai/role": "decode", "gpu": "H100"}}`, []string{"decode"}},
		{"label-selector-filter", `{"matchLabels": {"llm-d.ai/role": "decode", "gpu": "A100"}}`, nil},
		{"by-label-selector", `{"matchExpressions": [{"key": "gpu", "operator": "Exists"}, {"key": "llm-d.ai/role", "operator": "NotIn", "values": ["both", "encode", "encode-prefill", "encode-prefill-decode"]}]}`, []string{"prefill", "decode", "prefill-decode"}},
		{"label-selector-filter", `{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}`, []string{"none"}},
		{"label-selector-filter", `{"matchExpressions": [{"key": "llm-d.ai/role", "operator": "In", "values": ["both", "encode"]}]}`, []string{"encode", "both"}},
		{"by-label", `{"label": "llm-d.ai/role", "validValues": ["prefill", "both"]}`, []string{"prefill", "both"}},
		{"by-label", `{"label": "llm-d.ai/role", "validValues": ["both"], "allowsNoLabel": true}`, []string{"none", "both"}},
	} {
		if got := kept(made(t, c.typ, c.parameters), request{}, endpoints); !slices.Equal(got, c.want) {
			t.Errorf("%s %s keeps %v, want %v", c.typ, c.parameters, got, c.want)
		}
	}
}

func TestPrefixAffinity(t *testing.T) {
	endpoints := []policies.EndpointAccessor{
		policytest.Endpoint{Name: "warm", Tokens: 5000}, policytest.Endpoint{Name: "hot", Tokens: 9000}, policytest.Endpoint{Name: "cold", Tokens: 1000},
	}
	r := request{cached: map[string]float64{"warm": 0.8, "hot": 1, "cold": 0.2}}
	all := []string{"warm", "hot", "cold"}
	for parameters, want := range map[string][]string{
		"":                           {"warm", "hot"},
		`{"affinityThreshold": 0.9}`: {"hot"},
		`{"peakPrefillThroughput": 1000, "maxTTFTPenaltyMs": 4001}`: {"warm", "hot"},
		`{"peakPrefillThroughput": 1000, "maxTTFTPenaltyMs": 3999}`: all, // the warm one has 4 s more to read
		`{"peakPrefillThroughput": 1, "maxTTFTPenaltyMs": 0}`:       {"warm", "hot"},
		`{"explorationProbability": 1}`:                             all,
	} {
		if got := kept(made(t, "prefix-cache-affinity-filter", parameters), r, endpoints); !slices.Equal(got, want) {
			t.Errorf("%s keeps %v, want %v", parameters, got, want)
		}
	}
	if got := kept(made(t, "prefix-cache-affinity-filter", ""), request{}, endpoints); !slices.Equal(got, all) {
		t.Errorf("without any of the prompt cached: %v", got)
	}
}

func TestActiveScorers(t *testing.T) {
	endpoints := []policies.EndpointAccessor{
		policytest.Endpoint{Name: "idle"}, policytest.Endpoint{Name: "some", Requests: 1, Tokens: 100}, policytest.Endpoint{Name: "busy", Requests: 4, Tokens: 800},
	}
	for _, c := range []struct {
		typ, parameters string
		want            []float64
	}{
		{"active-request-scorer", "", []float64{1, 0.75, 0}},
		{"active-request-scorer", `{"maxBusyScore": 0.5, "requestTimeout": "2m"}`, []float64{1, 0.375, 0}},
		{"active-request-scorer", `{"idleThreshold": 1, "maxBusyScore": 0}`, []float64{1, 1, 0}},
		{"token-load-scorer", `{"queueThresholdTokens": 400}`, []float64{1, 0.75, 0}},
	} {
		scores := make([]float64, len(endpoints))
		made(t, c.typ, c.parameters).(policies.EndpointScorer).Score(request{}, endpoints, scores)
		if diff := cmp.Diff(c.want, scores); diff != "" {
			t.Errorf("%s %s: %s", c.typ, c.parameters, diff)
		}
	}
}

// TestNoHitLRU wants prompts that nobody has cached to go round the endpoints, and others not
// to move them.
func TestNoHitLRU(t *testing.T) {
	s := made(t, scheduling.NoHitLRUType, `{"lruSize": 3}`).(*scheduling.NoHitLRU)
	endpoints := []policies.EndpointAccessor{policytest.Endpoint{Name: "a"}, policytest.Endpoint{Name: "b"}, policytest.Endpoint{Name: "c"}}
	scores := make([]float64, 3)
	want := func(what string, want ...float64) {
		t.Helper()
		if diff := cmp.Diff(want, scores); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	cold, warm := request{}, request{cached: map[string]float64{"c": 0.1}}
	s.Score(cold, endpoints, scores)
	want("at first", 1, 0.5, 0)
	s.Picked(cold, endpoints, 0)
	s.Picked(cold, endpoints, 2)
	s.Score(cold, endpoints, scores)
	want("b was never used, and a longest ago", 0.5, 1, 0)
	s.Score(warm, endpoints, scores)
	want("with a hit", 0.5, 0.5, 0.5)
	s.Picked(warm, endpoints, 1)
	s.Score(cold, endpoints, scores)
	want("a hit does not count", 0.5, 1, 0)
}

func TestFilterParameters(t *testing.T) {
	registry := builtin.Registry()
	for _, c := range [][2]string{
		{"decode-filter", `{"role": "x"}`},
		{"label-selector-filter", `{"matchExpressions": [{"key": "a", "operator": "Is"}]}`},
		{"label-selector-filter", `{"matchExpressions": [{"operator": "Exists"}]}`},
		{"label-selector-filter", `{"matchExpressions": [{"key": "a", "operator": "In"}]}`},
		{"prefix-cache-affinity-filter", `{"affinityThreshold": 0}`},
		{"prefix-cache-affinity-filter", `{"ttftSource": "latencyPredictor"}`},
		{"prefix-cache-affinity-filter", `{"peakPrefillThroughput": 0}`},
		{"prefix-cache-affinity-filter", `{"explorationProbability": 2}`},
		{"active-request-scorer", `{"maxBusyScore": 2}`},
		{"active-request-scorer", `{"idleThreshold": -1}`},
		{"token-load-scorer", `{"queueThresholdTokens": 0}`},
		{"no-hit-lru-scorer", `{"lruSize": 0}`},
		{"approx-prefix-cache-producer", `{"hashBlockSize": 3}`}, // published files have 5
	} {
		if _, err := registry.New(c[0], "", json.RawMessage(c[1])); !errors.Is(err, policies.ErrParameters) {
			t.Errorf("%s %s: %v", c[0], c[1], err)
		}
	}
	p := made(t, "approx-prefix-cache-producer", `{"blockSizeTokens": 16, "maxPrefixTokensToMatch": 16384, "lruCapacityPerServer": 256}`)
	if got := p.(policies.PrefixReader).Prefixes(); got != (policies.PrefixIndexing{BlockSize: 64, MaxBlocks: 1024, PerEndpoint: 256}) {
		t.Errorf("%+v", got)
	}
}

// TestScorersKeepTheContract runs the suite on those that need no parameters.
func TestScorersKeepTheContract(t *testing.T) {
	for _, typ := range []string{"active-request-scorer", "token-load-scorer", "no-hit-lru-scorer"} {
		t.Run(typ, func(t *testing.T) {
			policytest.Scorer(t, func() policies.EndpointScorer { return made(t, typ, "").(policies.EndpointScorer) })
		})
	}
}
