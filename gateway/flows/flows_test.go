package flows

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/policies"
)

// TestAPIKeys wants the key alone to say whose a request is.
func TestAPIKeys(t *testing.T) {
	keys := Keys{sha256.Sum256([]byte("secret")): "team-a"}
	for authorization, want := range map[string]string{
		"Bearer secret": "team-a", "Bearer other": "", "": "", "secret": "", "Basic secret": "",
	} {
		h := http.Header{"Authorization": {authorization}, "X-Llm-D-Inference-Fairness-Id": {"somebody-else"}}
		id, _, refused := keys.Identify(h)
		switch {
		case want == "":
			if refused == nil || refused.Status != http.StatusUnauthorized {
				t.Errorf("%q: %v, %+v, want 401", authorization, id, refused)
			}
		case refused != nil || id != want:
			t.Errorf("%q: %v, %+v, want %v", authorization, id, refused, want)
		case h.Get("Authorization") != "":
			t.Errorf("%q goes on to the model server", authorization)
		}
	}
}

// few tells ten flows apart.
var few = &Rules{MaxFlows: 10}

// TestFlowsAreBounded wants flows beyond the bound to share one, and room again
// once others are idle.
func TestFlowsAreBounded(t *testing.T) {
	table := NewTable(time.Now())
	for i := range 100 {
		key := table.Admit(policies.FlowKey{ID: fmt.Sprint("flow-", i)}, "", few).Flow
		if own := key.ID != Overflow; own != (i < 10) {
			t.Errorf("flow %d counts for %v", i, key)
		}
	}
	if key := table.Admit(policies.FlowKey{ID: "flow-99", Priority: 1}, "", few).Flow; key.ID != "flow-99" {
		t.Errorf("another band's flow counts for %v", key)
	}
	if key := table.Admit(policies.FlowKey{ID: "flow-3"}, "", few).Flow; key.ID != "flow-3" {
		t.Errorf("a known flow counts for %v", key)
	}
	if n := len(table.flows); n != 12 {
		t.Errorf("%d flows are remembered", n)
	}
	for _, e := range table.flows {
		e.used = e.used.Add(-idle)
	}
	table.forgot = time.Time{}
	if key := table.Admit(policies.FlowKey{ID: "flow-50"}, "", few).Flow; key.ID != "flow-50" {
		t.Errorf("when the others are idle: %v", key)
	}
}

// TestConfiguredFlowsAreThemselves wants flows that settings hold for to keep them, however
// many others come.
func TestConfiguredFlowsAreThemselves(t *testing.T) {
	table := NewTable(time.Now())
	for i := range 100 {
		table.Admit(policies.FlowKey{ID: fmt.Sprint("junk-", i)}, "", few)
	}
	if key := table.Admit(policies.FlowKey{ID: "gold"}, "gold", few).Flow; key.ID != "gold" {
		t.Errorf("a flow with a setting of its own counts for %v", key)
	}
	for i := range 20 {
		want := fmt.Sprint("trial-", i)
		if i >= 10 {
			want = "trial-*" // for which the same settings hold
		}
		if key := table.Admit(policies.FlowKey{ID: fmt.Sprint("trial-", i)}, "trial-*", few).Flow; key.ID != want {
			t.Errorf("number %d of a pattern counts for %v, want %s", i, key, want)
		}
	}
}

// TestNewcomersShareAFlow wants flows without a setting to share one until they have been
// known for a while, and those beyond the bound for good.
func TestNewcomersShareAFlow(t *testing.T) {
	table := NewTable(time.Now())
	tenants := &Rules{MaxFlows: 3, Newcomers: Newcomers{For: time.Minute}}
	ages := func(d time.Duration) {
		table.began = table.began.Add(-d)
		for _, e := range table.flows {
			e.first = e.first.Add(-d)
		}
	}
	want := func(what, id, rule, flow, sharer string) {
		t.Helper()
		if a := table.Admit(policies.FlowKey{ID: id}, rule, tenants); a.Flow.ID != flow || a.Sharer != sharer {
			t.Errorf("%s: %q counts for %q as %q, want %q as %q", what, id, a.Flow.ID, a.Sharer, flow, sharer)
		}
	}
	want("who was there when the replica began", "old", "", "old", "")
	ages(61 * time.Second)
	want("who came before", "old", "", "old", "")
	want("who comes", "new", "", Newcomer, "new")
	want("a flow with a setting", "gold", "gold", "gold", "")
	want("one beyond the bound", "more", "", Newcomer, "more")
	ages(59 * time.Second)
	want("who came 59 s ago", "new", "", Newcomer, "new")
	ages(2 * time.Second)
	want("who came 61 s ago", "new", "", "new", "")
	want("one beyond the bound", "more", "", Newcomer, "more")
	tenants.Newcomers.For = 0
	want("where they share nothing", "more", "", Overflow, "")
}

// TestFreshIDsAreNamed wants a warning where many requests come under ids that were never
// seen, and nothing is done about it.
func TestFreshIDsAreNamed(t *testing.T) {
	start := time.Now()
	for _, tc := range []struct {
		what           string
		requests, part int
		many           bool
	}{
		{"all fresh", 200, 1, true},
		{"one in four", 800, 4, true},
		{"one in six", 1200, 6, false},
		{"few", 90, 1, false},
	} {
		f := &Fresh{}
		for i := range tc.requests {
			f.count(start, i%tc.part == 0)
		}
		if _, _, many := f.count(start.Add(freshWindow), false); many != tc.many {
			t.Errorf("%s: warned of: %v", tc.what, many)
		}
	}
}

// TestExpectedOutput wants the estimates to follow a flow's answers.
func TestExpectedOutput(t *testing.T) {
	table := NewTable(time.Now())
	key := policies.FlowKey{ID: "a"}
	if a := table.Admit(key, "", few); a.Known || a.Hold != 0 {
		t.Errorf("known before the first answer: %+v", a)
	}
	e := table.Begin(key, "")
	e.End(&Served{Charged: usageOf(100), Held: time.Second})
	e = table.Begin(key, "")
	e.End(&Served{Charged: usageOf(300), Held: 2 * time.Second})
	if a := table.Admit(key, "", few); !a.Known || a.Output != 200 || a.Hold != 1500*time.Millisecond {
		t.Errorf("%d, %v, %v after answers of 100 and 300 tokens that took 1 and 2 s", a.Output, a.Known, a.Hold)
	}
}

func usageOf(output int64) controller.Usage {
	return controller.Usage{OutputTokens: output, Known: true}
}

// TestUndeclaredNamesAreBounded wants names that clients make up to be logged once each, and
// no more than so many of them.
func TestUndeclaredNamesAreBounded(t *testing.T) {
	core, seen := observer.New(zap.WarnLevel)
	var u Undeclared
	for i := range 4 * maxUndeclared {
		u.Note(zap.New(core), fmt.Sprint("made-up-", i/2), 0)
	}
	if n := seen.Len(); n != maxUndeclared {
		t.Errorf("%d made-up names were logged, want %d", n, maxUndeclared)
	}
}

// TestSlotTime counts what requests hold while they hold it, once, and no more once they have ended.
func TestSlotTime(t *testing.T) {
	table := NewTable(time.Now())
	key := policies.FlowKey{ID: "a"}
	one, other := table.Meter(), table.Meter()
	slotTime := func() (d time.Duration) {
		one.Held(func(_ policies.FlowKey, held time.Duration) { d += held })
		return d
	}
	began := time.Now()
	first, second := table.Begin(key, ""), table.Begin(key, "")
	time.Sleep(20 * time.Millisecond)
	if got := slotTime(); got < 40*time.Millisecond || got > 2*time.Since(began) {
		t.Errorf("two requests of %v held slots for %v", time.Since(began), got)
	}
	first.End(&Served{})
	second.End(&Served{})
	slotTime()
	time.Sleep(10 * time.Millisecond)
	if got := slotTime(); got != 0 {
		t.Errorf("requests that ended hold slots for %v more", got)
	}
	other.Held(func(_ policies.FlowKey, held time.Duration) {
		if held < 40*time.Millisecond {
			t.Errorf("another meter tells of %v, as if the first took it away", held)
		}
		key.ID = "told"
	})
	if key.ID != "told" {
		t.Error("another meter tells nothing, as if the first took it away")
	}
}

// TestMeterForgets wants a meter to keep nothing of flows that the table has forgotten.
func TestMeterForgets(t *testing.T) {
	table := NewTable(time.Now())
	meter := table.Meter()
	for i := range 10 {
		table.Begin(policies.FlowKey{ID: fmt.Sprint("flow-", i)}, "").End(&Served{})
	}
	meter.Held(func(policies.FlowKey, time.Duration) {})
	if len(meter.told) != 10 {
		t.Fatalf("it knows of %d flows, want 10", len(meter.told))
	}
	for _, e := range table.flows {
		e.used = e.used.Add(-idle)
	}
	table.Admit(policies.FlowKey{ID: "new"}, "", few)
	meter.Held(func(policies.FlowKey, time.Duration) {})
	if len(meter.told) > 1 {
		t.Errorf("it knows of %d flows still", len(meter.told))
	}
}
