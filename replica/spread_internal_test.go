package replica

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/gateway/spread"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
)

// TestPartsOfWeights wants only those tenants to weigh a part whose share is one over all pools.
func TestPartsOfWeights(t *testing.T) {
	plan, _, err := config.Parse([]byte(config.Empty+`
weir:
  endpoints: [{url: "http://127.0.0.1:1"}]
  flows: [{id: acme/a, weight: 4, scope: fleet}, {id: b, weight: 4}]
  groups: [{name: acme, weight: 3, scope: fleet}, {name: acme/x, weight: 2}]
`), config.Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]float64{flowName("acme/a"): 0.5, flowName("b"): 0.5, groupName("acme"): 0.25, groupName("acme/x"): 0.25}
	w := newWeights(plan, &overrides.Set{}, parts)
	if a, b := w.of(policies.FlowKey{ID: "acme/a"}), w.of(policies.FlowKey{ID: "b"}); a != 2 || b != 4 {
		t.Errorf("the flows weigh %v and %v, want 2 and 4", a, b)
	}
	if groups := w.groups("acme/x/1"); groups[0].Weight != 0.75 || groups[1].Weight != 2 {
		t.Errorf("the groups are %v, want weights 0.75 and 2", groups)
	}
	if part := w.partOf("acme/a"); part != 0.125 {
		t.Errorf("an eighth of what the flow and its group weigh counts, not %v", part)
	}
	if again := plan.Flows.Groups("acme/x/1"); again[0].Weight != 3 {
		t.Errorf("what is configured changed to %v", again)
	}
}

// visited is a pool in which a group's users hold slots.
type visited struct {
	name  string
	once  bool // each user comes once
	rules *config.Flows
	flows *flows.Table
	meter *flows.Meter
	parts map[string]float64
}

func (v *visited) Name() string                      { return v.name }
func (v *visited) Held() map[string]time.Duration    { return heldOverPools(v.rules, v.meter.Held) }
func (v *visited) SetParts(parts map[string]float64) { v.parts = parts }

// TestUsersThatComeOnceHoldSlots has a group hold as much in each of two pools, in one of them by
// users that come once and are forgotten: half of its weight counts in each all the while.
func TestUsersThatComeOnceHoldSlots(t *testing.T) {
	plan, _, err := config.Parse([]byte(config.Empty+`
weir:
  endpoints: [{url: "http://127.0.0.1:1"}]
  groups: [{name: acme, scope: fleet}]
`), config.Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		rules := &flows.Rules{MaxFlows: 1250}
		table := spread.New(spread.Config{Replica: "r"})
		pools := []*visited{{name: "steady"}, {name: "visited", once: true}}
		for _, p := range pools {
			p.rules, p.flows = &plan.Flows, flows.NewTable(time.Now())
			p.meter = p.flows.Meter()
			table.Add(p)
		}
		for second := range 1800 {
			var running []*flows.Entry
			for _, p := range pools {
				for n := range 4 {
					user := n
					if p.once {
						user = 4*second + n
					}
					a := p.flows.Admit(policies.FlowKey{ID: fmt.Sprint("acme/", user)}, "", rules)
					running = append(running, p.flows.Begin(a.Flow, ""))
				}
			}
			time.Sleep(time.Second)
			for _, e := range running {
				e.End(&flows.Served{})
			}
			table.Look(t.Context(), time.Now())
			for _, p := range pools {
				if part := p.parts[groupName("acme")]; second >= 30 && (part < 0.45 || part > 0.55) {
					t.Fatalf("after %d s %.2f of the group's weight counts in the pool %q, want half", second, part, p.name)
				}
			}
		}
	})
}
