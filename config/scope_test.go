package config_test

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/flows"
)

// TestScope wants the scope of a flow from the entry that holds for it, and of a group from its
// own, and nothing but the two scopes that there are.
func TestScope(t *testing.T) {
	plan, _, err := config.Parse([]byte(config.Empty+`
weir:
  flows: [{id: single}, {id: "team-*", scope: fleet}, {id: other, scope: pool}]
  groups: [{name: acme, scope: fleet}, {name: acme/research}]
`), withServer())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"team-a": true, "single": false, "other": false, "unknown": false, flows.Newcomer: false} {
		if got := plan.Flows.SpansPools(id); got != want {
			t.Errorf("%s has one share over all pools: %v, want %v", id, got, want)
		}
	}
	if !plan.Flows.Spans() || !plan.Flows.GroupSpansPools("acme") || plan.Flows.GroupSpansPools("acme/research") {
		t.Error("of the groups only acme is to have one share over all pools")
	}
	_, _, err = config.Parse([]byte(config.Empty+"weir: {flows: [{id: a, scope: cluster}]}\n"), withServer())
	if err == nil || !strings.Contains(err.Error(), "weir.flows[0].scope") || !strings.Contains(err.Error(), "fleet") {
		t.Errorf("another scope: %v", err)
	}
}
