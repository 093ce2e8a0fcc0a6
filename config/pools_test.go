package config

import (
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

const twoPools = Empty + `
plugins:
- {name: eight, type: concurrency-detector, parameters: {maxConcurrency: 8}}
- {name: two, type: concurrency-detector, parameters: {maxConcurrency: 2}}
flowControl:
  maxRequests: 70
  saturationDetector: {pluginRef: eight}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, maxRequests: 7}
weir:
  flows: [{id: a, weight: 2}, {id: x, weight: 5}]
  pools:
  - name: llama
    models: [llama-3, "llama-*", "*"]
    endpoints: [{url: http://127.0.0.1:1}]
  - name: qwen
    models: [qwen, llama-guard]
    dns: qwen.default.svc:8000
    flowControl: {saturationDetector: {pluginRef: two}, defaultPriorityBand: {maxRequests: 9}}
    flows: [{id: b}]
    maxFlows: 3
`

// TestPoolsInherit wants a pool to have what the file says for all, but for what it says
// itself, and plug-ins of its own.
func TestPoolsInherit(t *testing.T) {
	plan, _, err := Parse([]byte(twoPools), Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Pools) != 2 || !plan.Several() {
		t.Fatalf("%d pools", len(plan.Pools))
	}
	llama, qwen := plan.Pools[0], plan.Pools[1]
	if a, b := llama.File.Weir.Pool, qwen.File.Weir.Pool; a != "llama" || b != "qwen" {
		t.Errorf("the pools are %q and %q", a, b)
	}
	if llama.Detector.TypedName().Name != "eight" || qwen.Detector.TypedName().Name != "two" || plan.Detector == llama.Detector {
		t.Errorf("detectors %v, %v", llama.Detector.TypedName(), qwen.Detector.TypedName())
	}
	if f := qwen.File.FlowControl; f.MaxRequests != 70 || f.DefaultPriorityBand.MaxRequests != 9 || qwen.Default.Fairness.TypedName().Type != "global-strict-fairness-policy" {
		t.Errorf("qwen takes %d requests and %d in a band, by %v: want 70 of the file, and a band of its own", f.MaxRequests, f.DefaultPriorityBand.MaxRequests, qwen.Default.Fairness.TypedName())
	}
	if w := qwen.File.Weir; w.Discovery.DNS != "qwen.default.svc:8000" || len(w.Endpoints) > 0 || w.MaxFlows != 3 || len(w.Flows) != 1 || w.Flows[0].Weight != 1 {
		t.Errorf("qwen has %+v", w)
	}
	if w := llama.File.Weir; w.Discovery.DNS != "" || w.MaxFlows != 10_000 || len(w.Flows) != 2 {
		t.Errorf("llama has %+v", w)
	}
	for model, want := range map[string]string{"llama-3": "llama", "llama-guard": "qwen", "llama-9": "llama", "qwen": "qwen", "other": "llama"} {
		if got, known := plan.Models.Pool(model); got != want || !known {
			t.Errorf("%s is for %q, want %q", model, got, want)
		}
	}
	if names := strings.Join(plan.Models.Names(), " "); names != "llama-3 llama-guard qwen" {
		t.Errorf("the models are %s", names)
	}
	if plan.SetReplica("r"); plan.File.Weir.Replica+llama.File.Weir.Replica+qwen.File.Weir.Replica != "rrr" {
		t.Error("the pools are not of the replica")
	}
	text, err := plan.Print()
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Parse(text, Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatalf("what is printed cannot be read: %v", err)
	}
	was, err1 := plan.Fingerprint()
	is, err2 := again.Fingerprint()
	if was != is || err1 != nil || err2 != nil {
		t.Errorf("what is printed means something else: %s and %s, %v, %v", was, is, err1, err2)
	}
}

// TestPoolsProblems wants every mistake to be named where it was made, once.
func TestPoolsProblems(t *testing.T) {
	for _, c := range []struct{ change, to, want string }{
		{"name: qwen", "name: llama", `line 17: weir.pools[1].name "llama": a pool of this name is listed above`},
		{"[qwen, llama-guard]", "[qwen, llama-3]", `line 18: weir.pools[1].models[1] "llama-3": is a model of pool "llama", too`},
		{"[qwen, llama-guard]", "[qwen, qwen]", `line 18: weir.pools[1].models[1] "qwen": is listed above`},
		{"[qwen, llama-guard]", "[qwen, " + strings.Repeat("x", 513) + "]", `has 513 bytes; the name of a model has up to 512`},
		{"[qwen, llama-guard]", "[" + strings.Repeat("qwen, ", 1001) + "]", `weir.pools[1].models: there are 1001 models; a pool has up to 1000`},
		{"pluginRef: two}", "pluginRef: tow}", `line 20: weir.pools[1].flowControl.saturationDetector.pluginRef "tow": no such saturation detector; did you mean "two"?`},
		{"[{id: b}]", "[{id: b, weight: 0}]", `line 21: weir.pools[1].flows[0].weight "0": must be above 0`},
		{"    dns: qwen.default.svc:8000\n", "", `line 17: weir.pools[1].endpoints: name at least one model server`},
		{"dns: qwen", "inferencePool: qwen\n    dns: qwen", `line 19: weir.pools[1].inferencePool "qwen": must be NAMESPACE/NAME`},
		{"maxFlows: 3", "maxFlow: 3", `line 22: weir.pools[1].maxFlow: no such field; did you mean "maxFlows"?`},
		{"maxFlows: 3", "maxFlows: -3", `line 22: weir.pools[1].maxFlows "-3": must be from 1`},
		{"name: qwen", `name: "a b"`, `line 17: weir.pools[1].name "a b": must have 1 to 128 characters`},
		{"maxRequests: 70", "maxRequests: -70", `line 8: flowControl.maxRequests "-70": must not be negative`},
		{"    models: [qwen, llama-guard]\n", "", `line 17: weir.pools[1]: no request can be for it: give models`},
		{"  pools:", "  extProc: {picker: {addresses: [\"a:1\"]}}\n  pools:", `line 13: weir.extProc.picker: this is for one pool`},
		{"  pools:", "  pool: one\n  pools:", `line 13: weir.pool "one": there are several pools, and weir.pools or Kubernetes says this for each; leave it out`},
		{"  pools:", "  endpoints: [{url: http://127.0.0.1:2}]\n  pools:", `line 13: weir.endpoints: there are several pools, and weir.pools or Kubernetes says this for each; leave it out`},
	} {
		text := strings.Replace(twoPools, c.change, c.to, 1)
		if text == twoPools {
			t.Fatalf("the text has no %q", c.change)
		}
		_, _, err := Parse([]byte(text), Options{Registry: builtin.Registry()})
		if err == nil {
			t.Errorf("%s: no problem", c.to)
			continue
		}
		if n := strings.Count(err.Error(), c.want); n != 1 {
			t.Errorf("%s: %d times %q in:\n%v", c.to, n, c.want, err)
		}
	}
	o := Options{Registry: builtin.Registry()}
	o.Flags = map[string][]string{"upstream": {"http://127.0.0.1:3"}}
	if _, _, err := Parse([]byte(twoPools), o); err == nil || !strings.Contains(err.Error(), `--upstream "http://127.0.0.1:3": there are several pools`) {
		t.Errorf("with --upstream: %v", err)
	}
	if _, _, err := Parse([]byte(Empty+"weir: {pools: []}\n"), Options{Registry: builtin.Registry()}); err == nil || !strings.Contains(err.Error(), "weir.pools: is empty") {
		t.Errorf("with no pools: %v", err)
	}
}
