package demo

import (
	"cmp"
	"slices"
	"time"
)

// Summary is what a run measured.
type Summary struct {
	// Ledger is "shared" or "divided".
	Ledger   string  `json:"ledger"`
	Seconds  float64 `json:"seconds"`
	Replicas int     `json:"replicas"`
	Limit    int     `json:"limit"`
	// InFlightPeak is the most requests that were at the model servers at once.
	InFlightPeak  int64   `json:"in_flight_peak"`
	Failures      int     `json:"failures"`
	Grants        uint64  `json:"grants"`
	Turns         uint64  `json:"turns"`
	TurnsPerGrant float64 `json:"turns_per_grant"`
	// JainIndex is over the backlogged tenants' requests for their weights; 1
	// is even.
	JainIndex float64 `json:"jain_index"`
	// MaxServiceGap is the largest difference between two backlogged tenants'
	// requests for their weights, since the measuring began.
	MaxServiceGap float64 `json:"max_service_gap"`
	Flows         []Flow  `json:"flows"`
	// Timeline is what happened in a run with chaos.
	Timeline []Phase `json:"timeline,omitempty"`
	// Divided is the same load with each replica on its own.
	Divided *Summary `json:"divided,omitempty"`
}

// Flow is what one tenant got.
type Flow struct {
	ID       string  `json:"id"`
	Priority int     `json:"priority"`
	Weight   float64 `json:"weight"`
	Requests int     `json:"requests"`
	Tokens   int     `json:"tokens"`
	// Share is of all requests; FairShare is what is left of the pool by
	// tenants that want less than their share, divided by weight.
	Share     float64 `json:"share"`
	FairShare float64 `json:"fair_share"`
	WaitP50ms float64 `json:"wait_p50_ms"`
	WaitP99ms float64 `json:"wait_p99_ms"`
}

// summarize works out the figures so far.
func (m *meter) summarize(f *fleet, ledger string, took time.Duration) *Summary {
	s := &Summary{
		Ledger: ledger, Seconds: took.Seconds(), Replicas: len(f.replicas), Limit: f.cfg.limit(), InFlightPeak: f.peak.Load(),
	}
	s.Turns, s.Grants = f.counts()
	s.TurnsPerGrant = float64(s.Turns) / float64(max(1, s.Grants))
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Failures, s.MaxServiceGap = m.failures, m.gap
	var all, light, weights float64
	for _, t := range m.tenants {
		all += float64(t.requests)
		if t.tenant.Pause > 0 {
			light += float64(t.requests)
		} else {
			weights += t.tenant.Weight
		}
	}
	var service []float64
	for _, t := range m.tenants {
		flow := Flow{
			ID: t.tenant.ID, Weight: t.tenant.Weight, Requests: t.requests, Tokens: t.tokens,
			Share: float64(t.requests) / max(1, all),
		}
		flow.FairShare = flow.Share
		if t.tenant.Pause == 0 {
			flow.FairShare = (all - light) / max(1, all) * t.tenant.Weight / weights
			service = append(service, float64(t.requests)/t.tenant.Weight)
		}
		waits := slices.Clone(t.waits)
		slices.Sort(waits)
		flow.WaitP50ms, flow.WaitP99ms = percentile(waits, 50), percentile(waits, 99)
		s.Flows = append(s.Flows, flow)
	}
	slices.SortFunc(s.Flows, func(a, b Flow) int { return cmp.Compare(a.ID, b.ID) })
	s.JainIndex = jain(service)
	return s
}

// jain is the fairness index of Jain, Chiu and Hawe (DEC TR-301, 1984): 1 when
// all are equal, 1/n when one has everything.
func jain(x []float64) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(x)) * squares)
}

// percentile returns a percentile of sorted durations, in milliseconds.
func percentile(sorted []time.Duration, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return ms(sorted[(len(sorted)-1)*p/100])
}
