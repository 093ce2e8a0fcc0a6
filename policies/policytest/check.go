package policytest

import (
	"testing"

	"github.com/weirflow/weir/policies"
)

// T is what the suites need of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// Check is one check of a suite.
type Check[P policies.Plugin] struct {
	Name string
	Run  func(t T, make func() P)
}

func run[P policies.Plugin](t *testing.T, checks []Check[P], make func() P) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, make) })
	}
}

// named is the first check of every suite.
func named[P policies.Plugin]() Check[P] {
	return Check[P]{"Named", func(t T, make func() P) {
		t.Helper()
		p := make()
		if n := p.TypedName(); n.Type == "" || n.Name == "" || n != p.TypedName() || n != make().TypedName() {
			t.Errorf("TypedName is %+v: type and name must be set and constant", n)
		}
	}}
}

// unchanged reports a plug-in that use has changed, or two that were made alike and are
// not the same: what was remembered would be lost at every reload.
func unchanged[P policies.Plugin](t T, fresh, used P) {
	t.Helper()
	if !policies.Same(fresh, used) {
		t.Errorf("%s is not the same as one made anew: it keeps something in its fields, which belongs in NewState, or has a func among them", used.TypedName())
	}
}
