package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// slowLedger takes nothing in time, and can be read.
type slowLedger struct{ store.Metering }

func (slowLedger) AddUsage(ctx context.Context, _ *store.UsageBatch) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestUsageOfSlowLedger wants what was handed over to be told where the last of it takes longer
// than others' answers are waited for, and the replicas to be named whose last is missing.
func TestUsageOfSlowLedger(t *testing.T) {
	f := newFleet(t, 2, 1)
	a := f.replicas["a"]
	f.replicas["b"].cfg.Meter.Count(&store.Usage{Flow: "x", Requests: 2, TokensIn: 7})
	a.cfg.Patience, a.cfg.Meter = 20*time.Millisecond, metering.New(metering.Config{Ledger: slowLedger{f.ledger}, Replica: "a"})
	a.cfg.Meter.Count(&store.Usage{Flow: "x", Requests: 1, TokensIn: 1})
	var usage api.UsageList
	a.get(t, "/v1/usage", 200, &usage)
	if usage.Sum.Requests != 2 || usage.Sum.TokensIn != 7 {
		t.Errorf("it comes to %+v, want what b handed over", usage.Sum)
	}
	if missing := usage.Fleet.Missing; len(missing) != 1 || missing[0].Replica != "a" || len(usage.Fleet.Answered) != 1 || usage.Fleet.Answered[0] != "b" {
		t.Errorf("answered %v, missing %v; want a to be missing", usage.Fleet.Answered, missing)
	}
}

// TestGroups wants flows to be told with their groups, to be found by them, and what they used to
// be added up by them, once each.
func TestGroups(t *testing.T) {
	f := newFleet(t, 1, 8)
	a := f.replicas["a"]
	var wrong api.Error
	for _, path := range []string{"/v1/usage?by=group", "/v1/usage?group=acme"} {
		if a.get(t, path, 400, &wrong); !strings.Contains(wrong.Message, "weir.groups") {
			t.Errorf("%s without groups: %s", path, wrong.Message)
		}
	}
	a.cfg.Configuration = func() Configuration {
		return Configuration{GroupNames: []string{"acme", "acme/research", "acmeister"}, Groups: func(id string) []shard.Group {
			return map[string][]shard.Group{
				"ann": {{Path: "acme", Weight: 2}, {Path: "acme/research", Weight: 1}}, "bob": {{Path: "acme", Weight: 2}, {Path: "acme/*", Weight: 1}},
				"cal": {{Path: "acmeister", Weight: 1}}, "dan": {{Path: shard.Others, Weight: 1}},
			}[id]
		}}
	}
	for i, flow := range []string{"ann", "bob", "cal", "dan"} {
		f.begin("a", flow, "", 0)
		a.cfg.Meter.Count(&store.Usage{Flow: flow, Requests: int64(1 + i)})
	}
	var flows api.Flows
	eventually(t, "four flows", func() bool {
		a.get(t, "/v1/flows", 200, &flows)
		return len(flows.Flows) == 4
	})
	for group, want := range map[string]string{"acme": "ann acme/research bob acme/*", "acme/research": "ann acme/research", "*": "dan *", "acme/*": "bob acme/*"} {
		var some api.Flows
		a.get(t, "/v1/flows?sort=id&group="+group, 200, &some)
		var got []string
		for i := range some.Flows {
			got = append(got, some.Flows[i].ID, some.Flows[i].Group)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("in %s: %q, want %q", group, got, want)
		}
	}
	for group, says := range map[string]string{"acm": `no group "acm"; did you mean "acme"?`, "none": `no group "none"; there are: acme, acme/research, acmeister`} {
		for _, path := range []string{"/v1/flows?group=", "/v1/usage?group="} {
			if a.get(t, path+group, 404, &wrong); !strings.Contains(wrong.Message, says) {
				t.Errorf("%s%s: %s", path, group, wrong.Message)
			}
		}
	}
	for query, want := range map[string]string{
		"by=group": "/*:4 /acme/*:2 /acme/research:1 /acmeister:3 =10", "by=group,hour&group=acme": "/acme/*:2 /acme/research:1 =3",
		"group=acme": "ann/acme/research:1 bob/acme/*:2 =3", "by=flow,hour&flow=dan": "dan/*:4 =4", "by=hour": "/:10 =10",
	} {
		var usage api.UsageList
		a.get(t, "/v1/usage?"+query, 200, &usage)
		var got []string
		for _, u := range usage.Usage {
			got = append(got, fmt.Sprint(u.Flow, "/", u.Group, ":", u.Requests))
		}
		slices.Sort(got)
		if got := fmt.Sprint(strings.Join(got, " "), " =", usage.Sum.Requests); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
