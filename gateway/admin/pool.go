package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

func (s *Server) pool(ctx context.Context, q *query) (*api.Pool, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	p := mergePool(parts, len(fleet.Missing) == 0)
	p.Fleet, p.Pool, p.Replica = fleet, s.cfg.Pool, s.cfg.Replica
	return p, nil
}

// severity orders the states of the ledger, the worst last.
var severity = []core.LedgerState{core.Connected, core.Registering, core.Slow, core.Outage, core.Superseded}

// mergePool makes one pool of what the replicas know; whole says that none is missing.
func mergePool(parts []partOf[statePart], whole bool) *api.Pool {
	p := &api.Pool{Bands: []api.Band{}}
	p.Ledger.State = string(core.Connected)
	limit := int64(0)
	var latest *statePart // who last heard of the ledger
	worst, here := 0, int64(0)
	ejected, drained := make(map[string]bool), make(map[string]bool)
	for i := range parts {
		part := &parts[i].part
		limit = max(limit, part.Pool.Limit)
		p.Shadow = p.Shadow || part.Shadow
		if stages := part.Pool.Stages; stages.Apart {
			p.Stages = map[string]float64{
				string(policies.Prefill): max(p.Stages[string(policies.Prefill)], stages.Prefill), string(policies.Decode): max(p.Stages[string(policies.Decode)], stages.Decode),
			}
		}
		p.Endpoints = max(p.Endpoints, part.Pool.Endpoints)
		here += int64(part.InFlight)
		p.Queued += int64(part.Waiting)
		worst = max(worst, slices.Index(severity, part.Ledger))
		p.Ledger.TurnMS = max(p.Ledger.TurnMS, part.TurnMS)
		if latest == nil || part.Answered.After(latest.Answered) {
			latest = part
		}
		for j := range part.Endpoints {
			e := &part.Endpoints[j]
			if !e.Healthy {
				ejected[e.URL] = true
			}
			if e.Drained {
				drained[e.URL] = true
			}
		}
	}
	p.EndpointsEjected, p.EndpointsDrained = len(ejected), len(drained)
	p.Ledger.State = string(severity[worst])
	p.Bands, p.Recent = mergeBands(parts)
	p.Refusals = mergeRefusals(parts)
	p.NotServed = notServed(p)
	p.InFlight = here
	if latest != nil {
		p.Ledger.Generation, p.Ledger.Members = latest.Generation, latest.Totals.Members
		if latest.Ledger == core.Connected || latest.Ledger == core.Slow {
			p.InFlight = latest.Totals.InFlight
			if !whole {
				p.Queued = max(p.Queued, latest.Totals.Queued, queuedIn(p.Bands)) // theirs are in others' queues
			}
		}
	}
	if limit < store.Unlimited {
		p.Limit = &limit
	}
	if p.Saturation = 1; p.Endpoints > 0 && limit > 0 {
		p.Saturation = float64(p.InFlight) / float64(limit)
	}
	return p
}

// queuedIn is what waits in all bands.
func queuedIn(bands []api.Band) (sum int64) {
	for i := range bands {
		sum += bands[i].Queued
	}
	return sum
}

// notServed is how many requests a second were not. Those that never came to flow control are
// among the refusals alone, and clients that went away among what is counted there alone.
func notServed(p *api.Pool) float64 {
	refused := 0.0
	for i := range p.Refusals {
		refused += p.Refusals[i].PerSecond
	}
	return max(refused, p.Recent.Refused+p.Recent.Evicted)
}

// maxCodes bounds the codes of refusals that are told.
const maxCodes = 100

// mergeRefusals adds up what the replicas refused, the most first.
func mergeRefusals(parts []partOf[statePart]) []api.Refusal {
	counts := make(map[string]uint64)
	span := time.Second
	for i := range parts {
		span = max(span, time.Duration(parts[i].part.SpanMS)*time.Millisecond)
		for code, n := range parts[i].part.Refusals {
			if _, known := counts[code]; known || len(counts) < maxCodes {
				counts[code] += n
			}
		}
	}
	all := make([]api.Refusal, 0, len(counts))
	for code, n := range counts {
		all = append(all, api.Refusal{Code: code, PerSecond: float64(n) / span.Seconds()})
	}
	slices.SortFunc(all, func(a, b api.Refusal) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Code, b.Code))
	})
	return all
}

// fairnessWords says in few words what a band's fairness policy is, given its "name (type)", or
// the type alone where both are the same, the unit that it counts in and whether groups share the
// band.
func fairnessWords(policy string) string {
	words, _, _ := strings.Cut(policy, " ")
	rest := policy[len(words):]
	if _, named, ok := strings.Cut(policy, " ("); ok {
		words, rest, _ = strings.Cut(named, ")")
	}
	words = strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(words, "-policy"), "-fairness"), "-", " ")
	unit, grouped := strings.CutSuffix(rest, " by groups")
	if unit = strings.TrimPrefix(unit, " in "); unit != "" {
		if weights, tokens := strings.CutSuffix(unit, " tokens"); tokens {
			in, out, _ := strings.Cut(weights, "/")
			unit = fmt.Sprintf("tokens (in ×%s, out ×%s)", in, out)
		}
		words += " by " + unit
	}
	if grouped {
		words += ", among groups"
	}
	return words
}

// mergeBands adds the replicas' bands up, highest priority first.
func mergeBands(parts []partOf[statePart]) ([]api.Band, api.Recent) {
	type merged struct {
		api.Band
		limit  int64
		counts traffic.Counts
		ids    map[string]bool
	}
	bands := make(map[int]*merged)
	var all traffic.Counts
	span := time.Duration(0)
	for i := range parts {
		part := &parts[i].part
		span = max(span, time.Duration(part.SpanMS)*time.Millisecond)
		for j := range part.Bands {
			from := &part.Bands[j]
			b := bands[from.Priority]
			if b == nil {
				b = &merged{Band: api.Band{Priority: from.Priority, Weight: from.Weight}, limit: store.NoOpinion, ids: make(map[string]bool)}
				bands[from.Priority] = b
			}
			b.Policy, b.Weight = cmp.Or(b.Policy, from.Policy), min(b.Weight, from.Weight) // as the ledger has it
			b.limit = max(b.limit, from.Ceiling)
			b.InFlight += from.InFlight
			b.Queued += from.Queued
			for id := range slices.Chunk(from.FlowIDs, 8) {
				b.ids[string(id)] = true
			}
			b.Flows = max(b.Flows, from.Flows, len(b.ids)) // the ids are not all of them past the bound
			if !from.Oldest.IsZero() {
				b.OldestMS = max(b.OldestMS, time.Since(from.Oldest).Milliseconds())
			}
			from.Recent.addTo(&b.counts)
			from.Recent.addTo(&all)
		}
	}
	list := make([]api.Band, 0, len(bands))
	for _, b := range bands {
		if b.limit >= 0 && b.limit < store.Unlimited {
			b.Limit = &b.limit
		}
		b.Recent, b.Fairness = recent(&b.counts, span), fairnessWords(b.Policy)
		list = append(list, b.Band)
	}
	slices.SortFunc(list, func(a, b api.Band) int { return cmp.Compare(b.Priority, a.Priority) })
	return list, recent(&all, span)
}
