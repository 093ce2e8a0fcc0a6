package controller

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/saturation"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

// gauge is a detector that says what it is set to.
type gauge struct{ saturation float64 }

func (*gauge) TypedName() policies.TypedName {
	return policies.TypedName{Type: "gauge", Name: "gauge"}
}

func (g *gauge) Saturation(context.Context, time.Time, []policies.EndpointAccessor) float64 {
	return g.saturation
}

func TestLimitFollowsSaturation(t *testing.T) {
	two := []policies.EndpointAccessor{policytest.Endpoint{}, policytest.Endpoint{}}
	g := &gauge{}
	l := newLimiter(g)
	for _, step := range []struct {
		saturation float64
		inFlight   int64
		want       int64
	}{
		{1, 0, 0},      // full with nothing of ours in flight: others use it
		{0, 0, 2},      // idle: one for each endpoint
		{0, 0, 2},      // and no more for having been idle longer
		{0, 2, 4},      // doubled
		{0.1, 4, 8},    // though the reading would allow 40
		{0.5, 8, 16},   // as the reading says
		{0.01, 64, 80}, // a quarter more
		{2, 80, 40},    // overloaded: half of it at once
		{1, 40, 40},    // full: it stays
		{5, 3, 0},      // overloaded by others
		{0.9, 1, 2},    // never less than one for each endpoint while it is not full
	} {
		g.saturation = step.saturation
		if p := l.observe(t.Context(), time.Now(), two, step.inFlight); p.Limit != step.want {
			t.Errorf("%v full with %d in flight: limit %d, want %d", step.saturation, step.inFlight, p.Limit, step.want)
		}
	}
}

// TestEndpointsAreBounded where the detector says what each takes, and all have addresses.
func TestEndpointsAreBounded(t *testing.T) {
	d, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: 3, Headroom: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	two := []policies.EndpointAccessor{policytest.Endpoint{Name: "x"}, policytest.Endpoint{Name: "y"}}
	l := newLimiter(d)
	if got := l.bounds(two); len(got) != 2 || got[0] != (core.Endpoint{Address: "x", Capacity: 4}) || got[1].Capacity != 4 {
		t.Errorf("%v, want x and y that take four each", got)
	}
	if p := l.observe(t.Context(), time.Now(), two, 0); p.Limit != 8 {
		t.Errorf("limit %d, want what the two take", p.Limit)
	}
	if got := l.bounds(append(two[:2:2], policytest.Endpoint{})); len(got) != 2 || got[0].Capacity != 0 {
		t.Errorf("with one that has no address: %v, want no bounds", got)
	}
	reads := policytest.Endpoint{Name: "z", Marks: map[string]string{policies.RoleLabel: "prefill"}}
	if got := l.bounds(append(two[:2:2], reads)); len(got) != 2 || got[1].Address != "y" || got[1].Capacity != 4 {
		t.Errorf("with one that reads prompts: %v, want those that make answers", got)
	}
	l = newLimiter(&gauge{})
	if got := l.bounds(two); got[0].Capacity != 0 {
		t.Errorf("under a detector that does not say: %v, want no bounds", got)
	}
}

// TestLimitOfOddReadings has detectors answer what is no saturation, or no limit: the pool
// is finite all the same, and takes no more where it is not known how full it is.
func TestLimitOfOddReadings(t *testing.T) {
	two := []policies.EndpointAccessor{policytest.Endpoint{}, policytest.Endpoint{}}
	for name, tc := range map[string]struct {
		detector   policies.SaturationDetector
		limit      int64
		saturation float64
	}{
		"not a number":     {&gauge{math.NaN()}, 64, 1},
		"infinite":         {&gauge{math.Inf(1)}, 0, math.MaxFloat64},
		"minus infinite":   {&gauge{math.Inf(-1)}, 80, 0},
		"next to nothing":  {&gauge{1e-300}, 80, 1e-300},
		"a negative limit": {fixed(-5), 0, 0},
		"a fixed limit":    {fixed(5), 5, 0},
	} {
		l := newLimiter(tc.detector)
		if p := l.observe(t.Context(), time.Now(), two, 64); p.Limit != tc.limit || p.Saturation != tc.saturation {
			t.Errorf("%s: limit %d, saturation %v; want %d, %v", name, p.Limit, p.Saturation, tc.limit, tc.saturation)
		}
	}
}

// TestStaleReadingsAreSeen wants an operator to see why a pool takes nothing: it is full,
// for none of its endpoints was read lately.
func TestStaleReadingsAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		detector, err := saturation.UtilizationFactory("", nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := NewController(memory.New(memory.Config{}), WithSaturationDetector(detector.(policies.SaturationDetector)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{}, policytest.Endpoint{}})
		v, err := c.View(t.Context())
		if err != nil || v.Pool.Limit != 0 || v.Pool.Stale != 2 || v.Saturation() != 1 {
			t.Errorf("limit %d, %d endpoints stale, saturation %v, %v; want 0, 2, 1", v.Pool.Limit, v.Pool.Stale, v.Saturation(), err)
		}
		c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: time.Now()}}})
		if v, err = c.View(t.Context()); err != nil || v.Pool.Limit < 1 || v.Pool.Stale != 0 || v.Saturation() != 0 {
			t.Errorf("read again: limit %d, %d endpoints stale, saturation %v, %v; want some, 0, 0", v.Pool.Limit, v.Pool.Stale, v.Saturation(), err)
		}
	})
}

// TestWithLimit has a pool whose limit is given outright: it takes requests without
// being told of endpoints, and another limit holds at once.
func TestWithLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewController(memory.New(memory.Config{}), WithLimit(2), WithTTL(time.Second, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		dispatch(t, c, request("a"))
		dispatch(t, c, request("a"))
		if outcome, _ := c.EnqueueAndWait(t.Context(), request("a")); outcome != EvictedTTL {
			t.Errorf("a third request: %v, want it to wait in vain", outcome)
		}
		if err := c.Reconfigure(WithLimit(3)); err != nil {
			t.Fatal(err)
		}
		dispatch(t, c, request("a"))
		if err := c.Reconfigure(WithLimit(0)); err == nil {
			t.Error("a limit of 0 was taken")
		}
		if err := c.Reconfigure(WithDefaultBand(shard.BandConfig{Fairness: twoKinds{}})); !errors.Is(err, policies.ErrAmbiguous) {
			t.Errorf("a fairness policy of two kinds: %v", err)
		}
	})
}

// TestStagesOfDetectors has two detectors each judge one stage: the other stage is nothing to them.
func TestStagesOfDetectors(t *testing.T) {
	endpoint := func(role string, waiting int) policies.EndpointAccessor {
		return policytest.Endpoint{Requests: 3, Reading: policies.EndpointMetrics{ReadAt: time.Now(), Waiting: waiting}, Marks: map[string]string{policies.RoleLabel: role}}
	}
	queue, err := saturation.UtilizationFactory("queue", []byte(`{"queueDepthThreshold": 10, "metricsStalenessThreshold": "1h"}`))
	if err != nil {
		t.Fatal(err)
	}
	slots, err := saturation.NewConcurrency("slots", saturation.ConcurrencyParameters{MaxConcurrency: 4})
	if err != nil {
		t.Fatal(err)
	}
	for stages, want := range map[string]core.Stages{
		`{}`: {Apart: true, Prefill: 0.75, Decode: 2},
		`{"queue": ["prefill"], "slots": ["decode"]}`:            {Apart: true, Prefill: 0.5, Decode: 0.75},
		`{"queue": ["prefill"]}`:                                 {Apart: true, Prefill: 0.75, Decode: 0.75},
		`{"queue": ["prefill"], "slots": ["prefill", "decode"]}`: {Apart: true, Prefill: 0.75, Decode: 0.75},
		`{"queue": ["prefill"], "slots": ["prefill"]}`:           {Apart: true, Prefill: 0.75, Decode: 0},
	} {
		d, err := saturation.MaxFactory("d", []byte(`{"detectors": ["queue", "slots"], "stages": `+stages+`}`))
		if err != nil {
			t.Fatal(err)
		}
		d.(*saturation.Max).Of(queue.(policies.SaturationDetector), slots)
		l := newLimiter(d.(policies.SaturationDetector))
		if p := l.observe(t.Context(), time.Now(), []policies.EndpointAccessor{endpoint("prefill", 5), endpoint("decode", 20)}, 4); p.Stages != want {
			t.Errorf("%s: stages %+v, want %+v", stages, p.Stages, want)
		}
		if p := l.observe(t.Context(), time.Now(), []policies.EndpointAccessor{endpoint("prefill", 5)}, 4); p.Stages.Decode != 1 {
			t.Errorf("%s: nobody answers, and that stage is %v full", stages, p.Stages.Decode)
		}
	}
}

// twoKinds charges and ranks.
type twoKinds struct{ *fairness.RoundRobin }

func (twoKinds) TypedName() policies.TypedName                                          { return policies.TypedName{Type: "two", Name: "two"} }
func (twoKinds) Rank(policies.PriorityBandAccessor, policies.FlowQueueAccessor) float64 { return 0 }

// TestStages wants a pool whose endpoints read prompts or make answers alone to be as full as
// the fuller of the two, and to have its slots where answers are made.
func TestStages(t *testing.T) {
	endpoint := func(role string, waiting int) policies.EndpointAccessor {
		e := policytest.Endpoint{Reading: policies.EndpointMetrics{ReadAt: time.Now(), Waiting: waiting}}
		if role != "" {
			e.Marks = map[string]string{policies.RoleLabel: role}
		}
		return e
	}
	prefill, decode, both, bare := endpoint("prefill", 10), endpoint("decode", 2), endpoint("prefill-decode", 5), endpoint("", 0)
	readings, err := saturation.UtilizationFactory("d", []byte(`{"queueDepthThreshold": 10, "metricsStalenessThreshold": "1h"}`))
	if err != nil {
		t.Fatal(err)
	}
	slots, err := saturation.NewConcurrency("d", saturation.ConcurrencyParameters{MaxConcurrency: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		endpoints  []policies.EndpointAccessor
		stages     core.Stages
		saturation float64
		slots      int64
	}{
		"no roles":              {[]policies.EndpointAccessor{bare, bare}, core.Stages{}, 0, 6},
		"one that does both":    {[]policies.EndpointAccessor{both}, core.Stages{}, 0.5, 3},
		"those that answer":     {[]policies.EndpointAccessor{decode, bare}, core.Stages{}, 0.1, 6},
		"apart":                 {[]policies.EndpointAccessor{prefill, decode, decode}, core.Stages{Apart: true, Prefill: 1, Decode: 0.2}, 1, 6},
		"one for both":          {[]policies.EndpointAccessor{prefill, decode, both}, core.Stages{Apart: true, Prefill: 0.75, Decode: 0.35}, 0.75, 6},
		"without a label":       {[]policies.EndpointAccessor{prefill, bare}, core.Stages{Apart: true, Prefill: 1, Decode: 0}, 1, 3},
		"nobody answers":        {[]policies.EndpointAccessor{prefill}, core.Stages{Apart: true, Prefill: 1, Decode: 1}, 1, 0},
		"encoders and the rest": {[]policies.EndpointAccessor{endpoint("encode", 50), decode}, core.Stages{Apart: true, Decode: 0.2}, 0.2, 3},
		"an unknown role":       {[]policies.EndpointAccessor{endpoint("cook", 50), decode}, core.Stages{Apart: true, Decode: 0.2}, 0.2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLimiter(readings.(policies.SaturationDetector))
			if p := l.observe(t.Context(), time.Now(), c.endpoints, 4); p.Stages != c.stages || math.Abs(p.Saturation-c.saturation) > 1e-9 {
				t.Errorf("stages %+v, saturation %v; want %+v and %v", p.Stages, p.Saturation, c.stages, c.saturation)
			}
			l = newLimiter(slots)
			if p := l.observe(t.Context(), time.Now(), c.endpoints, 0); p.Limit != c.slots {
				t.Errorf("%d slots, want %d", p.Limit, c.slots)
			}
		})
	}
}
