package policies_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/builtin"
)

// TestMistakesAreFoundAtLoad declares plug-ins wrongly in every way.
func TestMistakesAreFoundAtLoad(t *testing.T) {
	r := builtin.Registry()
	for _, c := range []struct {
		typ, parameters string
		want            error
	}{
		{"no-such-policy", "", policies.ErrUnknownType},
		{"round-robin-fairness-policy", `{"weight": 2}`, policies.ErrParameters},
		{"concurrency-detector", `{"maxConcurrency": "many"}`, policies.ErrParameters},
		{"concurrency-detector", `{"maxConcurrency": -1}`, policies.ErrParameters},
		{"concurrency-detector", `{"maxConcurrency": 1} {}`, policies.ErrParameters},
		{"concurrency-detector", `{"headroom": -0.1}`, policies.ErrParameters},
		{"static-usage-limit-policy", `{"threshold": 0}`, policies.ErrParameters},
	} {
		if _, err := r.New(c.typ, "x", json.RawMessage(c.parameters)); !errors.Is(err, c.want) {
			t.Errorf("%s %s: %v, want %v", c.typ, c.parameters, err, c.want)
		}
	}
	if err := r.Register("concurrency-detector", nil); err == nil {
		t.Error("a type without a factory was registered")
	}
	if err := r.Register("fcfs-ordering-policy", func(string, json.RawMessage) (policies.Plugin, error) { return nil, nil }); !errors.Is(err, policies.ErrDuplicate) {
		t.Errorf("registering a type twice: %v", err)
	}
}

func TestReferences(t *testing.T) {
	s := policies.NewSet(builtin.Registry())
	detector, err := builtin.Registry().New("concurrency-detector", "mine", json.RawMessage(`{"maxConcurrency": 3}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(detector); err != nil {
		t.Fatal(err)
	}
	if err := s.Declare(detector); !errors.Is(err, policies.ErrDuplicate) {
		t.Errorf("declared twice: %v", err)
	}
	if _, err := s.Saturation("mine"); err != nil {
		t.Errorf("a declared plug-in: %v", err)
	}
	if _, err := s.Fairness("round-robin-fairness-policy"); err != nil {
		t.Errorf("a type by its own name: %v", err)
	}
	if _, err := s.Fairness("mine"); !errors.Is(err, policies.ErrWrongKind) {
		t.Errorf("a detector as a fairness policy: %v", err)
	}
	if _, err := s.Ordering("nobody"); !errors.Is(err, policies.ErrUnknownPlugin) {
		t.Errorf("a name that was not declared: %v", err)
	}
}
