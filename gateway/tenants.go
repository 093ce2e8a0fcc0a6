package gateway

import (
	"crypto/sha256"
	"net/http"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/refusal"
)

// Tenants says at which priority a flow's requests go to a pool, and how long they may take.
// It must not be changed once the pool has it; SetTenants replaces it.
type Tenants struct {
	// Priority returns the priority of a flow's request that names the objective,
	// which may be empty, and whether anybody declared that one; nil gives all 0.
	Priority func(flow, objective string) (priority int, declared bool)
	// Timeouts returns how long a flow's request that names the objective, which may be
	// empty, may hold its slots; nil gives all the defaults.
	Timeouts func(flow, objective string) Timeouts
	// Rule returns which setting holds for a flow: its own id, or a name that many flows
	// share, such as a pattern; empty, as for nil, if there is none. Flows with a setting
	// are told apart however many others there are.
	Rule func(flow string) string
	// CachedTokenWeight is the part of a prompt's token that one is charged which the server
	// had in a cache; 0.1 by default.
	CachedTokenWeight *float64
	// Newcomers has flows that are not known yet share one; off by default.
	Newcomers Newcomers
	// MaxFlows is how many flows of a priority are told apart; what comes beyond
	// shares the flow OverflowFlow. 10,000 by default.
	MaxFlows int
}

// Newcomers are flows without a setting and without an API key in the time after their
// first request. To the others they are together one flow, NewcomersFlow, and take turns
// within it.
type Newcomers struct {
	// For is how long a flow is a newcomer; 0 for never.
	For time.Duration
}

// NewcomersFlow is the flow that newcomers share.
const NewcomersFlow = "newcomers-flow"

// OverflowFlow is the flow of requests beyond Tenants.MaxFlows.
const OverflowFlow = "overflow-flow"

const (
	defaultMaxFlows     = 10_000
	defaultCachedWeight = 0.1
)

// identify says which flow a request is of. An id from the header is untrusted input: it ends
// up in logs, metrics and the ledger.
func (g *Gateway) identify(h http.Header) (id string, refused *refusal.Refusal) {
	keys := *g.keys.Load()
	if keys == nil {
		return flowOf(h)
	}
	token := keyOf(h)
	id, known := keys[sha256.Sum256([]byte(token))]
	if token == "" || !known {
		return "", &refusal.Refusal{
			Status: http.StatusUnauthorized, Code: "invalid_api_key",
			Message: "the API key is missing or not known; send a known one as Authorization: Bearer KEY, or as x-api-key",
		}
	}
	for _, name := range keyHeaders {
		h.Del(name)
	}
	return id, nil
}

// priority is that of a flow's request that names the objective, which may be empty, and
// whether nobody declared one that it names.
func (t *Tenants) priority(flow, objective string) (priority int, undeclared bool) {
	if t.Priority == nil {
		return 0, false
	}
	priority, declared := t.Priority(flow, objective)
	return priority, !declared && objective != ""
}

// keyHeaders may carry a key: as OpenAI's clients send it, and as Anthropic's do.
var keyHeaders = []string{"Authorization", "X-Api-Key"}

// keyOf is the API key that a request carries, or empty.
func keyOf(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return h.Get("X-Api-Key")
}

// rule is which setting holds for a flow. One that a key stands for has its own.
func (t *Tenants) rule(flow string, keyed bool) string {
	switch {
	case keyed:
		return flow
	case t.Rule != nil:
		return t.Rule(flow)
	}
	return ""
}
