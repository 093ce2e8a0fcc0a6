package policies_test

import (
	"context"
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

// charging is half a fairness policy of each kind, as far as it is embedded.
type charging struct{}

func (charging) NewState(context.Context) any { return nil }
func (charging) Pick(context.Context, policies.PriorityBandAccessor) (policies.FlowQueueAccessor, error) {
	return nil, nil
}

type charger struct{}

func (charger) Charge(policies.QueueItemAccessor) float64 { return 1 }

type ranker struct{}

func (ranker) Rank(policies.PriorityBandAccessor, policies.FlowQueueAccessor) float64 { return 1 }

type accountant struct{}

func (accountant) Account() policies.Account { return policies.Account{} }

func TestFairnessIsOfOneKind(t *testing.T) {
	type base struct {
		policies.Named
		charging
	}
	b := base{Named: policies.NewNamed("mine", "mine")}
	for name, c := range map[string]struct {
		policy policies.FairnessPolicy
		kind   policies.FairnessKind
		err    error
	}{
		"only picks": {b, policies.Picking, nil},
		"charges": {struct {
			base
			charger
		}{base: b}, policies.Counting, nil},
		"charges, own account": {struct {
			base
			charger
			accountant
		}{base: b}, policies.Counting, nil},
		"ranks": {struct {
			base
			ranker
		}{base: b}, policies.Ranking, nil},
		"charges and ranks": {struct {
			base
			charger
			ranker
		}{base: b}, 0, policies.ErrAmbiguous},
		"ranks, own account": {struct {
			base
			ranker
			accountant
		}{base: b}, 0, policies.ErrAmbiguous},
		"account, nothing to do": {struct {
			base
			accountant
		}{base: b}, 0, policies.ErrAmbiguous},
	} {
		kind, err := policies.KindOf(c.policy)
		if !errors.Is(err, c.err) || kind != c.kind {
			t.Errorf("%s: kind %v, %v; want %v, %v", name, kind, err, c.kind, c.err)
		}
		r := &policies.Registry{}
		if err := r.Register("mine", func(string, json.RawMessage) (policies.Plugin, error) { return c.policy, nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := r.New("mine", "", nil); !errors.Is(err, c.err) {
			t.Errorf("%s, made by a registry: %v, want %v", name, err, c.err)
		}
	}
}
