package scheduling_test

import (
	"slices"
	"testing"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/policies/scheduling"
)

// TestSessionAffinity sends a client back where it was, and prefers none for others.
func TestSessionAffinity(t *testing.T) {
	s := scheduling.NewSessionAffinity("s")
	endpoints := []policies.EndpointAccessor{policytest.Endpoint{Name: "a:1"}, policytest.Endpoint{Name: "b:1"}}
	for session, want := range map[string][]float64{
		s.SessionOf("b:1"): {0, 1}, s.SessionOf("gone:1"): {0, 0}, "": {0, 0},
	} {
		scores := []float64{9, 9}
		if s.Score(request{session: session}, endpoints, scores); !slices.Equal(scores, want) {
			t.Errorf("session %q: %v, want %v", session, scores, want)
		}
	}
}
