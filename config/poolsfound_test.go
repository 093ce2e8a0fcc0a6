package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// TestFoundPools has pools come and go that are not the file's: they have what the file says
// for all, those that stay keep their plans, and what cannot be a pool is left out with a reason.
func TestFoundPools(t *testing.T) {
	plan, _, err := Parse([]byte(strings.Replace(twoPools, "weir:\n", "weir:\n  inferencePools: '*/app=vllm'\n", 1)), Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	plan.SetReplica("r")
	names := func(p *Plan) string {
		var all []string
		for i, of := range p.Pools {
			if p.File.Weir.Pools[i].Name != of.File.Weir.Pool {
				t.Errorf("plan %d is of %q, and the pool %q", i, of.File.Weir.Pool, p.File.Weir.Pools[i].Name)
			}
			all = append(all, of.File.Weir.Pool)
		}
		return strings.Join(all, " ")
	}
	a, b := FoundPool{"m/a", "m/a", []string{"model-a", "a-*"}, nil}, FoundPool{"m/b", "m/b", []string{"model-b"}, nil}
	with, left := plan.WithPools([]FoundPool{a, b})
	if got := names(with); got != "llama qwen m/a m/b" || len(left) > 0 || names(plan) != "llama qwen" {
		t.Fatalf("pools %s, left out %v", got, left)
	}
	first := with.Pools[2]
	if w := first.File.Weir; w.Discovery.InferencePool != "m/a" || len(w.Endpoints) > 0 || w.Replica != "r" || len(w.Flows) != 2 || !first.Found() || with.Pools[0].Found() || w.InferencePools != "" {
		t.Errorf("m/a has %+v", w)
	}
	if d := first.Detector.TypedName().Name; d != "eight" || first.File.FlowControl.MaxRequests != 70 || first.Detector == plan.Pools[0].Detector {
		t.Errorf("m/a has detector %s and takes %d requests", d, first.File.FlowControl.MaxRequests)
	}
	for model, want := range map[string]string{"model-a": "m/a", "model-b": "m/b", "qwen": "qwen", "a-1": "m/a", "b-1": "llama"} { // "*" of the file takes what is left
		if got, _ := with.Models.Pool(model); got != want {
			t.Errorf("%s is for %q, want %q", model, got, want)
		}
	}

	b.Models = []string{"model-b2"}
	bad := []FoundPool{{"m/c", "m/c", []string{"qwen"}, nil}, {"m/d", "m/d", nil, nil}, {"llama", "m/llama", []string{"l"}, nil}, {"m/e", "m/e", []string{"model-a"}, nil}}
	again, left := with.WithPools(append([]FoundPool{a, b}, bad...))
	if got := names(again); got != "llama qwen m/a m/b" || again.Pools[2] != first || again.Pools[3] == with.Pools[3] {
		t.Errorf("pools %s; one that is as it was has another plan: %v", got, again.Pools[2] != first)
	}
	for i, want := range []string{
		`m/c: "qwen" is a model of pool "qwen", too`, "m/d: no request can be for it", `llama: there is a pool "llama"`, `m/e: "model-a" is a model of pool "m/a", too`,
	} {
		if got := fmt.Sprintf("%s: %v", left[i].Pool.Name, left[i].Err); !strings.HasPrefix(got, want) {
			t.Errorf("left out %s, want %s", got, want)
		}
	}
	if gone, _ := again.WithPools(nil); names(gone) != "llama qwen" {
		t.Errorf("pools %s once those that were found are gone", names(gone))
	}
	keys, err := with.WithKeys()
	if err != nil {
		t.Fatal(err)
	}
	if kept, _ := keys.WithPools([]FoundPool{a}); names(kept) != "llama qwen m/a" || kept.Pools[2] != keys.Pools[2] {
		t.Errorf("pools %s after the keys were read", names(kept))
	}
}

// TestFoundPoolsAlone wants a file and flags without pools of their own to do.
func TestFoundPoolsAlone(t *testing.T) {
	plan, _, err := Load("", Options{Registry: builtin.Registry(), Flags: map[string][]string{"inference-pools": {"models/app=vllm"}, "max-concurrency": {"3"}}})
	if err != nil {
		t.Fatal(err)
	}
	if !plan.Several() || len(plan.Pools) > 0 {
		t.Errorf("%d pools, several: %v", len(plan.Pools), plan.Several())
	}
	with, left := plan.WithPools([]FoundPool{{"a", "models/a", []string{"m"}, nil}})
	if len(left) > 0 || len(with.Pools) != 1 {
		t.Fatalf("%d pools, left out %v", len(with.Pools), left)
	}
	for text, want := range map[string]string{
		"app=vllm": "must be NAMESPACE/SELECTOR", "llm-d.ai/pool=a": "must be NAMESPACE/SELECTOR", "models/app in": "its label selector",
	} {
		_, _, err := Load("", Options{Registry: builtin.Registry(), Flags: map[string][]string{"inference-pools": {text}}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--inference-pools %q: %s", text, want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, _, err = Load("", Options{Registry: builtin.Registry(), Flags: map[string][]string{"inference-pools": {"models/"}, "upstream": {"http://127.0.0.1:1"}}})
	if err == nil || !strings.Contains(err.Error(), "there are several pools") {
		t.Errorf("with endpoints of its own: %v", err)
	}
}

// TestFoundModels gives pools that are found the models that nobody before them has: what a
// pattern of the file or of an older pool takes is refused, and what only * of the file takes is
// theirs.
func TestFoundModels(t *testing.T) {
	plan, _, err := Parse([]byte(strings.Replace(twoPools, `"llama-*", "*"`, `"llama-*", "*", "late-*"`, 1)), Options{Registry: builtin.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 1001)
	for i := range many {
		many[i] = fmt.Sprint("many-", i)
	}
	older := FoundPool{"older", "m/older", []string{"lora-*", "lora-one", "qwen*", "late-1"}, nil}
	for _, c := range []struct {
		models []string
		want   string // why it is left out; empty if it is not
	}{
		{[]string{"llama-7b"}, `"llama-7b" is for pool "llama" by its pattern "llama-*"`},
		{[]string{"mine", "llama-guard"}, `"llama-guard" is a model of pool "qwen", too`},
		{[]string{"llama-7*"}, `"llama-7*" has names in common with the pattern "llama-*" of pool "llama"`},
		{[]string{"*-7b"}, `"*-7b" has names in common with the pattern "llama-*" of pool "llama"`},
		{[]string{"lora-x"}, `"lora-x" is for pool "older" by its pattern "lora-*"`},
		{[]string{"lo*-x"}, `"lo*-x" has names in common with the pattern "lora-*" of pool "older"`},
		{[]string{"*"}, `"*" is a model of pool "llama", too`},
		{[]string{"**"}, `"**" is a model of pool "llama", too`},
		{many, "there are 1001 models; a pool has up to 1000"},
		{[]string{strings.Repeat("x", 513)}, "has 513 bytes; the name of a model has up to 512"},
		{[]string{"late-2", "lor-*", "mine*"}, ""},
	} {
		with, left := plan.WithPools([]FoundPool{older, {"younger", "m/younger", c.models, nil}})
		if c.want != "" {
			if len(left) != 1 || !strings.Contains(left[0].Err.Error(), c.want) {
				t.Errorf("%.3q: left out %v, want %s", c.models, left, c.want)
			}
			continue
		}
		if len(left) > 0 {
			t.Errorf("%q: left out %v", c.models, left)
		}
		for model, want := range map[string]string{
			"llama-7b": "llama", "llama-guard": "qwen", "qwen": "qwen", "qwen-7": "older", "lora-one": "older", "lora-x": "older",
			"late-1": "older", "late-2": "younger", "late-3": "llama", "mine-1": "younger", "lor-x": "younger", "anything": "llama",
		} {
			if got, _ := with.Models.Pool(model); got != want {
				t.Errorf("%s is for %q, want %q", model, got, want)
			}
		}
	}
	alone, _, err := Load("", Options{Registry: builtin.Registry(), Flags: map[string][]string{"inference-pools": {"models/"}}})
	if err != nil {
		t.Fatal(err)
	}
	with, left := alone.WithPools([]FoundPool{{"all", "m/all", []string{"*"}, nil}, {"one", "m/one", []string{"one-*"}, nil}})
	if a, _ := with.Models.Pool("one-1"); a != "one" || len(left) > 0 {
		t.Errorf("one-1 is for %q beside an older pool for all that is left, left out %v", a, left)
	}
	if a, _ := with.Models.Pool("two"); a != "all" {
		t.Errorf("what is left is for %q", a)
	}
}
