package fairness

import (
	"slices"
	"time"
)

// Result is what a run showed.
type Result struct {
	Scenario, Policy string
	Replicas         int
	// Gap is the largest difference of service for their weights, in weighted
	// tokens, that any two tenants got over any time in which both were
	// backlogged; RequestGap is the same in requests.
	Gap, RequestGap float64
	// Bound is VTC's on the first: twice the larger of a prompt and all that the
	// pool can have begun, for the smallest weight.
	Bound float64
	// Index is Jain's over the service of the tenants that were backlogged
	// throughout, for their weights.
	Index float64
	// LightP99 is the 99th percentile of the light tenant's waits.
	LightP99 time.Duration
	// Requests is how many were served.
	Requests int
	// Held is how long answers took, together.
	Held time.Duration
	// Curves are the tenants' service over time.
	Curves []Curve

	pairs map[[2]int]*pair
}

// Curve is a tenant's service at each look.
type Curve struct {
	Tenant  string
	At      []time.Duration
	Service []float64
}

// pair is how far two tenants are apart since both have been backlogged.
type pair struct {
	since            time.Duration
	tokens, requests span
}

// known is how long after its first request a tenant counts as backlogged: an empty
// pool goes to the tenant whose requests reach the ledger first.
const known = 50 * time.Millisecond

// span is the values that a difference has had.
type span struct {
	low, high float64
	known     bool
}

// take widens the span, and returns how wide it is.
func (s *span) take(v float64) float64 {
	if !s.known {
		s.low, s.high, s.known = v, v, true
	}
	s.low, s.high = min(s.low, v), max(s.high, v)
	return s.high - s.low
}

func newResult(r *run, replicas int) *Result {
	res := &Result{Scenario: r.scenario.Name, Replicas: replicas, pairs: make(map[[2]int]*pair)}
	var input, output, weight float64
	for _, t := range r.tenants {
		res.Curves = append(res.Curves, Curve{Tenant: t.ID})
		input, output = max(input, float64(t.Input)), max(output, float64(t.Output))
		if weight == 0 || t.Weight < weight {
			weight = t.Weight
		}
	}
	res.Bound = 2 * max(inputWeight*input, outputWeight*output*slots) / weight
	return res
}

// Used is what part of the slots' time answers took in a run so long.
func (res *Result) Used(length time.Duration) float64 {
	return res.Held.Seconds() / (slots * length.Seconds())
}

// idle notes that a tenant is no longer backlogged. The run is locked.
func (res *Result) idle(t *tally) {
	for key := range res.pairs {
		if key[0] == t.index || key[1] == t.index {
			delete(res.pairs, key)
		}
	}
}

// look takes a measurement. The run is locked.
func (res *Result) look(r *run, at time.Duration) {
	for i, t := range r.tenants {
		c := &res.Curves[i]
		c.At, c.Service = append(c.At, at), append(c.Service, t.service/t.Weight)
		for j, u := range r.tenants[:i] {
			key := [2]int{i, j}
			if t.waiting == 0 || u.waiting == 0 {
				continue
			}
			p := res.pairs[key]
			if p == nil {
				p = &pair{since: at}
				res.pairs[key] = p
			}
			if at-p.since < known {
				continue
			}
			res.Gap = max(res.Gap, p.tokens.take(t.service/t.Weight-u.service/u.Weight))
			res.RequestGap = max(res.RequestGap, p.requests.take(float64(t.requests)/t.Weight-float64(u.requests)/u.Weight))
		}
	}
}

// finish works out what is known at the end.
func (res *Result) finish(r *run) {
	var sum, squares, n float64
	for _, t := range r.tenants {
		res.Requests += t.requests
		if t.Light {
			waits := slices.Sorted(slices.Values(t.waits))
			if len(waits) > 0 {
				res.LightP99 = waits[len(waits)*99/100]
			}
		}
		if t.Rate == 0 && t.Off == 0 && t.From == 0 {
			service := t.service / t.Weight
			sum, squares, n = sum+service, squares+service*service, n+1
		}
	}
	if squares > 0 {
		res.Index = sum * sum / (n * squares)
	}
}
