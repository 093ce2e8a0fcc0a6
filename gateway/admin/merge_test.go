package admin

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
)

// TestHappened compares two looks at a replica.
func TestHappened(t *testing.T) {
	peer := func(id string, live bool) core.PeerView { return core.PeerView{ID: id, Live: live, Incarnation: 1} }
	view := func(peers ...core.PeerView) core.View {
		return core.View{Replica: "a", Ledger: core.Connected, Generation: 1, Pool: core.Pool{Limit: 8}, Peers: peers}
	}
	server := func(healthy bool) []endpoints.Status {
		return []endpoints.Status{{Name: "s", URL: "http://s", Healthy: healthy}}
	}
	usual := seen{view: view(peer("b", true)), endpoints: server(true)}
	for _, c := range []struct {
		name   string
		change func(*seen)
		want   string
	}{
		{"nothing", func(*seen) {}, ""},
		{"a death", func(s *seen) { s.view = view(peer("b", false)) }, "replica_lost b error"},
		{"forgotten at once", func(s *seen) { s.view = view() }, "replica_lost b error"},
		{"a leave", func(s *seen) { s.view = view(core.PeerView{ID: "b", Leaving: true}) }, "replica_left b info"},
		{"a join", func(s *seen) { s.view = view(peer("b", true), peer("c", true)) }, "replica_joined c info"},
		{"a restart", func(s *seen) { s.view = view(core.PeerView{ID: "b", Live: true, Incarnation: 2}) }, "replica_joined b info"},
		{"an outage", func(s *seen) { s.view.Ledger = core.Outage }, "ledger_state a error"},
		{"slow", func(s *seen) { s.view.Ledger = core.Slow }, "ledger_state a warning"},
		{"a wipe", func(s *seen) { s.view.Generation = 2 }, "ledger_wiped ledger error"},
		{"blind", func(s *seen) { s.view.Pool.Limit = 0 }, "limit_changed pool error"},
		{"another limit", func(s *seen) { s.view.Pool.Limit = 4 }, ""},
		{"an ejection", func(s *seen) { s.endpoints = server(false) }, "endpoint_ejected s error"},
		{"a server less", func(s *seen) { s.endpoints = nil }, "endpoint_left s info"},
		{"a server more", func(s *seen) {
			s.endpoints = append(server(true), endpoints.Status{Name: "t", URL: "http://t", Healthy: true})
		}, "endpoint_joined t info"},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := usual
			c.change(&after)
			var got []string
			for _, e := range happened(&usual, &after) {
				if e.Text == "" {
					t.Errorf("%s says nothing", e.Kind)
				}
				if e.Kind == api.ReplicaLost && e.Text != "b is gone" { // lost is what the ledger calls one that may still run
					t.Errorf("a replica that died: %q", e.Text)
				}
				got = append(got, e.Kind+" "+e.Subject+" "+e.Severity)
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("%v, want %q", got, c.want)
			}
		})
	}
}

// TestEventsMerge wants what several replicas saw to be one event, and the ring to be
// bounded.
func TestEventsMerge(t *testing.T) {
	now := time.Now()
	lost := func(after time.Duration) api.Event {
		return api.Event{At: now.Add(after), Kind: api.ReplicaLost, Subject: "c", Text: "c is gone"}
	}
	merged := mergeEvents([]partOf[[]api.Event]{
		{"a", []api.Event{lost(0), lost(time.Minute)}}, {"b", []api.Event{lost(time.Second), lost(time.Hour)}},
	})
	if len(merged) != 3 || !merged[0].At.Equal(now.Add(time.Hour)) || strings.Join(merged[2].Replicas, "") != "ab" || len(merged[1].Replicas) != 1 {
		t.Errorf("%+v", merged)
	}
	var e events
	for range 3 * maxEvents {
		e.add(lost(0))
	}
	if n := len(e.all()); n != maxEvents {
		t.Errorf("%d events are kept, want %d", n, maxEvents)
	}
}

// TestShares wants what flows are due to be what those leave that want less, by weight.
func TestShares(t *testing.T) {
	f := func(weight float64, queued int64, dispatched, tokens uint64) *flow {
		return &flow{Flow: api.Flow{Weight: weight, Queued: queued}, counts: traffic.Counts{Dispatched: dispatched, Tokens: tokens}}
	}
	light, one, two, limited, grouped := f(1, 0, 10, 900), f(1, 5, 30, 50), f(2, 5, 50, 25), f(5, 9, 4, 20), f(9, 9, 6, 5)
	limited.AtLimit, grouped.AtMaximum = true, "acme"
	for _, c := range []struct {
		byTokens        bool
		share, entitled [5]float64
	}{
		{false, [5]float64{.1, .3, .5, .04, .06}, [5]float64{.1, .8 / 3, 1.6 / 3, .04, .06}},
		{true, [5]float64{.9, .05, .025, .02, .005}, [5]float64{.9, .025, .05, .02, .005}},
	} {
		all := []*flow{light, one, two, limited, grouped}
		share(all, map[int]bool{0: c.byTokens})
		for i, f := range all {
			if math.Abs(f.Share-c.share[i]) > 1e-9 || math.Abs(f.Entitled-c.entitled[i]) > 1e-9 {
				t.Errorf("by tokens %v: flow %d has %.3f and is due %.3f, want %.3f and %.3f", c.byTokens, i, f.Share, f.Entitled, c.share[i], c.entitled[i])
			}
		}
	}
}

// TestBandWeightsMerge wants the weight of a priority that holds in the ledger: the least that a
// replica states, where it states the priority, also where that is strict.
func TestBandWeightsMerge(t *testing.T) {
	of := func(weights ...float64) (p statePart) {
		for i, w := range weights {
			p.Bands = append(p.Bands, bandPart{Priority: -i, Weight: w})
		}
		return p
	}
	merged, _ := mergeBands([]partOf[statePart]{{"a", of(3, 2)}, {"b", of(0, 1, 5)}, {"c", of(3)}})
	for i, want := range []float64{0, 1, 5} {
		if got := merged[i].Weight; got != want {
			t.Errorf("priority %d has weight %g, want %g", merged[i].Priority, got, want)
		}
	}
}

// TestSharesBelowLimits wants a flow to be due what its limit lets it have, also in the moments
// in which one of its requests has just ended.
func TestSharesBelowLimits(t *testing.T) {
	f := func(queued, inFlight int64, dispatched uint64, limit *api.FlowLimit) *flow {
		return &flow{Flow: api.Flow{Weight: 1, Queued: queued, InFlight: inFlight, Limit: limit}, counts: traffic.Counts{Dispatched: dispatched}}
	}
	limited, wide, free := f(9, 2, 10, &api.FlowLimit{MaxInFlight: 3}), f(9, 11, 45, &api.FlowLimit{MaxInFlight: 20}), f(9, 11, 45, nil)
	share([]*flow{limited, wide, free}, nil)
	for i, due := range []float64{.1, .45, .45} {
		if got := []*flow{limited, wide, free}[i].Entitled; math.Abs(got-due) > 1e-9 {
			t.Errorf("flow %d is due %.3f, want %.3f", i, got, due)
		}
	}
}

// TestHistory wants samples of what was counted meanwhile, through restarts, and those of
// another replica to go before a young one's own.
func TestHistory(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	state := func(started time.Time, dispatched uint64) statePart {
		var w traffic.Waits
		for range dispatched {
			w.Observe(100 * time.Millisecond)
		}
		return statePart{Started: started, Counted: countsPart{Dispatched: dispatched, Tokens: 7 * dispatched, Waits: w.Pairs()}, Waiting: 3}
	}
	s := sampler{totals: make(map[string]totalsOf)}
	at := began
	take := func(parts ...partOf[statePart]) api.Sample {
		at = at.Add(step)
		return s.sample(at, at, parts, true)
	}
	if x := take(partOf[statePart]{"a", state(began, 1000)}); x.Requests != 0 || x.WaitP50MS != nil {
		t.Errorf("the first: %+v, want nothing of what was before", x)
	}
	x := take(partOf[statePart]{"a", state(began, 1050)}, partOf[statePart]{"b", state(began, 7)})
	if x.Requests != 10 || x.Tokens != 70 || x.Queued != 6 || x.Replicas != 2 || x.WaitP50MS == nil || math.Abs(*x.WaitP50MS-100) > 25 {
		t.Errorf("50 in 5 s: %+v", x)
	}
	if x := take(partOf[statePart]{"a", state(at, 10)}, partOf[statePart]{"b", state(began, 17)}); x.Requests != 2 {
		t.Errorf("a restarted, 10 in 5 s at b: %+v", x)
	}
	var h history
	h.add(&api.Sample{At: at})
	h.precede([]api.Sample{{At: at.Add(-2 * step)}, {At: at.Add(-step)}, {At: at}, {At: at.Add(step)}})
	h.precede([]api.Sample{{At: at.Add(-step)}, {At: at.Add(-9 * step)}}) // not in order
	if all := h.all(); len(all) != 3 || !all[0].At.Equal(at.Add(-2*step)) || !all[2].At.Equal(at) {
		t.Errorf("%d samples: %v", len(h.all()), all)
	}
	for i := range 2 * maxSamples {
		h.add(&api.Sample{At: at.Add(time.Duration(i) * step)})
	}
	if n := len(h.all()); n != maxSamples {
		t.Errorf("%d samples are kept, want %d", n, maxSamples)
	}
}

// TestFirstSample wants the first one to have what went through meanwhile, and not nothing.
func TestFirstSample(t *testing.T) {
	t.Parallel()
	m := newFleet(t, 1, 1).replicas["a"]
	busy := time.NewTicker(10 * time.Millisecond)
	defer busy.Stop()
	for len(m.history.all()) == 0 {
		m.traffic.Decided(policies.FlowKey{ID: "x"}, controller.Dispatched, time.Millisecond, "")
		<-busy.C
	}
	if first := m.history.all()[0]; first.Requests < 1 || first.WaitP50MS == nil {
		t.Errorf("the first sample: %+v", first)
	}
}

// TestPoolOfMany wants the pool to be told of as the replica that heard last of the ledger
// tells it, and how the worst stands with it.
func TestPoolOfMany(t *testing.T) {
	now := time.Now()
	part := func(state core.LedgerState, answered time.Duration, total int64, own int) partOf[statePart] {
		return partOf[statePart]{"x", statePart{
			Ledger: state, Answered: now.Add(answered), Pool: core.Pool{Endpoints: 2, Limit: 10}, Totals: core.Totals{InFlight: total, Queued: 50}, InFlight: own, Waiting: 4,
		}}
	}
	for _, c := range []struct {
		name             string
		parts            []partOf[statePart]
		whole            bool
		inFlight, queued int64
		state            core.LedgerState
	}{
		{"the latest tells", []partOf[statePart]{part(core.Connected, -time.Second, 3, 1), part(core.Connected, 0, 9, 2)}, true, 9, 8, core.Connected},
		{"one has lost it", []partOf[statePart]{part(core.Outage, -time.Second, 3, 1), part(core.Connected, 0, 9, 2)}, true, 9, 8, core.Outage},
		{"all have", []partOf[statePart]{part(core.Outage, -time.Second, 3, 1), part(core.Outage, 0, 9, 2)}, true, 3, 8, core.Outage},
		{"one is missing", []partOf[statePart]{part(core.Connected, 0, 9, 2)}, false, 9, 50, core.Connected},
	} {
		p := mergePool(c.parts, c.whole)
		if p.InFlight != c.inFlight || p.Queued != c.queued || p.Ledger.State != string(c.state) || *p.Limit != 10 || p.Saturation != float64(c.inFlight)/10 {
			t.Errorf("%s: %+v", c.name, p)
		}
	}
}

// TestShardsFlowsAreTheOwners wants the flows of a shard that moved to be counted once.
func TestShardsFlowsAreTheOwners(t *testing.T) {
	parts := []partOf[statePart]{
		{"a", statePart{Shards: map[int][2]int64{0: {5, 1}, 1: {2, 0}, 7: {1, 1}}}},
		{"b", statePart{Shards: map[int][2]int64{0: {3, 4}, 1: {4, 0}}}},
	}
	shards := []api.Shard{{Shard: 0, Owner: "b"}, {Shard: 1, Owner: "gone"}}
	countShards(shards, parts, []string{"a", "b"})
	if s := shards[0]; s.Flows != 3 || s.Queued != 5 {
		t.Errorf("the shard is %+v, want the owner's 3 flows and what waits at both", s)
	}
	if s := shards[1]; s.Flows != 4 {
		t.Errorf("the shard whose owner does not answer is %+v, want the most that another knows, 4 flows", s)
	}
}

// TestRefusalsAreAddedUp adds up what two replicas refused.
func TestRefusalsAreAddedUp(t *testing.T) {
	all := mergeRefusals([]partOf[statePart]{
		{"a", statePart{SpanMS: 10_000, Refusals: map[string]uint64{"queue_full": 20, "bad_path": 5}}},
		{"b", statePart{SpanMS: 10_000, Refusals: map[string]uint64{"queue_full": 20}}},
	})
	if want := []api.Refusal{{Code: "queue_full", PerSecond: 4}, {Code: "bad_path", PerSecond: 0.5}}; !slices.Equal(all, want) {
		t.Errorf("%v, want %v", all, want)
	}
}

// TestLedgerEvents wants a ledger that was slow to be called quick again, and not got back.
func TestLedgerEvents(t *testing.T) {
	for _, c := range []struct {
		before, after core.LedgerState
		want          string
	}{
		{core.Connected, core.Slow, "a finds the ledger slow"},
		{core.Slow, core.Connected, "a finds the ledger quick again"},
		{core.Registering, core.Connected, "a has the ledger"},
		{core.Slow, core.Slow, ""},
	} {
		got := ""
		ledgerEvents(&core.View{Replica: "a", Ledger: c.before}, &core.View{Replica: "a", Ledger: c.after}, func(_, _, _, format string, args ...any) { got = fmt.Sprintf(format, args...) })
		if got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
}

// TestFairnessWords says what policies are as people would.
func TestFairnessWords(t *testing.T) {
	for policy, want := range map[string]string{
		"vtc (vtc-fairness-policy) in 1/2 tokens by groups": "vtc by tokens (in ×1, out ×2), among groups",
		"vtc-fairness-policy in 1/2 tokens by groups":       "vtc by tokens (in ×1, out ×2), among groups",
		"my own (vtc-fairness-policy) in 1/2 tokens":        "vtc by tokens (in ×1, out ×2)",
		"round-robin-fairness-policy":                       "round robin",
		"mine (global-strict-fairness-policy) by groups":    "global strict, among groups",
		"a (program-aware-fairness-policy) in requests":     "program aware by requests",
		"by-hand by groups":                                 "by hand, among groups",
		"":                                                  "",
	} {
		if got := fairnessWords(policy); got != want {
			t.Errorf("%q: %q, want %q", policy, got, want)
		}
	}
}
