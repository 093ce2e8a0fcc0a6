package scheduling_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/scheduling"
)

func TestDeciders(t *testing.T) {
	for _, c := range []struct {
		typ, parameters string
		request         request
		want            bool
	}{
		{"always-disagg-pd-decider", "", request{}, true},
		{"always-disagg-multimodal-decider", "", request{}, false},
		{"always-disagg-multimodal-decider", "", request{media: true}, true},
		{"prefix-based-pd-decider", "", request{tokens: 1e6}, false},
		{"prefix-based-pd-decider", `{"nonCachedTokens": 100}`, request{tokens: 100}, true},
		{"prefix-based-pd-decider", `{"nonCachedTokens": 100}`, request{tokens: 99}, false},
		{"prefix-based-pd-decider", `{"nonCachedTokens": 100}`, request{tokens: 400, cached: map[string]float64{"e": 0.5}}, true},
		{"prefix-based-pd-decider", `{"nonCachedTokens": 100}`, request{tokens: 400, cached: map[string]float64{"e": 0.9, "other": 0}}, false},
		{"prefix-based-pd-decider", `{"nonCachedTokens": 100, "promptTokens": 500}`, request{tokens: 400}, false},
	} {
		plugin, err := builtin.Registry().New(c.typ, "", json.RawMessage(c.parameters))
		if err != nil {
			t.Fatal(err)
		}
		if got := plugin.(policies.StageDecider).Needs(c.request, policytest.Endpoint{Name: "e"}); got != c.want {
			t.Errorf("%s %s of %+v: %v, want %v", c.typ, c.parameters, c.request, got, c.want)
		}
	}
	for parameters, want := range map[string]bool{`{"threshold": 0}`: true, `{"threshold": 397}`: true, `{"threshold": 401}`: false} {
		h := made(t, "pd-profile-handler", parameters).(*scheduling.Disagg)
		if got := h.Prefill.Needs(request{tokens: 100}, policytest.Endpoint{Name: "e"}); got != want {
			t.Errorf("100 tokens go elsewhere by %s: %v, want %v", parameters, got, want)
		}
	}
	for typ, parameters := range map[string]string{
		"prefix-based-pd-decider": `{"nonCachedTokens": -1}`, "disagg-profile-handler": `{"stageOrder": "prefill-first"}`, "header-profile-handler": `{"headerName": ""}`,
	} {
		if _, err := builtin.Registry().New(typ, "", json.RawMessage(parameters)); !errors.Is(err, policies.ErrParameters) {
			t.Errorf("%s %s: %v, want a refusal", typ, parameters, err)
		}
	}
}
