package gateway

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// TestAPIKeys wants the key alone to say whose a request is.
func TestAPIKeys(t *testing.T) {
	tenants := Tenants{
		Keys:     map[[sha256.Size]byte]string{sha256.Sum256([]byte("secret")): "team-a"},
		Priority: func(flow, _ string) (int, bool) { return map[string]int{"team-a": 7}[flow], true },
	}
	for authorization, want := range map[string]policies.FlowKey{
		"Bearer secret": {ID: "team-a", Priority: 7}, "Bearer other": {}, "": {}, "secret": {}, "Basic secret": {},
	} {
		h := http.Header{"Authorization": {authorization}, "X-Llm-D-Inference-Fairness-Id": {"somebody-else"}}
		key, _, refused := tenants.identify(h)
		switch {
		case want.ID == "":
			if refused == nil || refused.status != http.StatusUnauthorized {
				t.Errorf("%q: %v, %+v, want 401", authorization, key, refused)
			}
		case refused != nil || key != want:
			t.Errorf("%q: %v, %+v, want %v", authorization, key, refused, want)
		case h.Get("Authorization") != "":
			t.Errorf("%q goes on to the model server", authorization)
		}
	}
}

// TestFlowsAreBounded wants flows beyond the bound to share one, and room again
// once others are idle.
func TestFlowsAreBounded(t *testing.T) {
	table := newFlowTable()
	for i := range 100 {
		key, _, _ := table.admit(policies.FlowKey{ID: fmt.Sprint("flow-", i)}, "", 10)
		if own := key.ID != OverflowFlow; own != (i < 10) {
			t.Errorf("flow %d counts for %v", i, key)
		}
	}
	if key, _, _ := table.admit(policies.FlowKey{ID: "flow-99", Priority: 1}, "", 10); key.ID != "flow-99" {
		t.Errorf("another band's flow counts for %v", key)
	}
	if key, _, _ := table.admit(policies.FlowKey{ID: "flow-3"}, "", 10); key.ID != "flow-3" {
		t.Errorf("a known flow counts for %v", key)
	}
	if n := len(table.flows); n != 12 {
		t.Errorf("%d flows are remembered", n)
	}
	for _, e := range table.flows {
		e.used = e.used.Add(-flowIdle)
	}
	table.forgot = time.Time{}
	if key, _, _ := table.admit(policies.FlowKey{ID: "flow-50"}, "", 10); key.ID != "flow-50" {
		t.Errorf("when the others are idle: %v", key)
	}
}

// TestConfiguredFlowsAreThemselves wants flows that settings hold for to keep them, however
// many others come.
func TestConfiguredFlowsAreThemselves(t *testing.T) {
	table := newFlowTable()
	for i := range 100 {
		table.admit(policies.FlowKey{ID: fmt.Sprint("junk-", i)}, "", 10)
	}
	if key, _, _ := table.admit(policies.FlowKey{ID: "gold"}, "gold", 10); key.ID != "gold" {
		t.Errorf("a flow with a setting of its own counts for %v", key)
	}
	for i := range 20 {
		want := fmt.Sprint("trial-", i)
		if i >= 10 {
			want = "trial-*" // for which the same settings hold
		}
		if key, _, _ := table.admit(policies.FlowKey{ID: fmt.Sprint("trial-", i)}, "trial-*", 10); key.ID != want {
			t.Errorf("number %d of a pattern counts for %v, want %s", i, key, want)
		}
	}
}

// TestExpectedOutput wants the estimate to follow a flow's answers.
func TestExpectedOutput(t *testing.T) {
	table := newFlowTable()
	key := policies.FlowKey{ID: "a"}
	if _, _, known := table.admit(key, "", 10); known {
		t.Error("known before the first answer")
	}
	e := table.begin(key, "")
	e.end(usageOf(100), time.Second)
	e = table.begin(key, "")
	e.end(usageOf(300), time.Second)
	if _, output, known := table.admit(key, "", 10); !known || output != 200 {
		t.Errorf("%d, %v after answers of 100 and 300 tokens", output, known)
	}
	in := &inbound{mostOutput: 50}
	if in.expect(200); in.outputTokens != 50 {
		t.Errorf("%d tokens expected of a request that allows 50", in.outputTokens)
	}
}

func usageOf(output int64) controller.Usage {
	return controller.Usage{OutputTokens: output, Known: true}
}
