package scheduling

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/weirflow/weir/policies"
)

// SessionAffinityType is the type name of [SessionAffinity].
const SessionAffinityType = "session-affinity-scorer"

// SessionAffinity prefers the endpoint that answered a client before, by what that answer told
// the client to give.
type SessionAffinity struct{ policies.Named }

// NewSessionAffinity returns the scorer under the name.
func NewSessionAffinity(name string) *SessionAffinity {
	return &SessionAffinity{policies.NewNamed(SessionAffinityType, name)}
}

// Score implements [policies.EndpointScorer]: 1 for the endpoint of the session, 0 for others.
func (s *SessionAffinity) Score(request policies.SchedulingRequest, endpoints []policies.EndpointAccessor, scores []float64) {
	session := request.Session()
	for i, e := range endpoints {
		if scores[i] = 0; session != "" && session == s.SessionOf(e.Address()) {
			scores[i] = 1
		}
	}
}

// KnowsAffinity implements [policies.AffinityKnower].
func (s *SessionAffinity) KnowsAffinity() bool { return true }

// SessionOf implements [policies.SessionKeeper]. It is the same at all replicas, and does not
// show the address.
func (s *SessionAffinity) SessionOf(address string) string {
	sum := sha256.Sum256([]byte("weir session\n" + address))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
