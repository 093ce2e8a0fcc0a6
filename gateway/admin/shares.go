package admin

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

func (s *Server) shares(ctx context.Context, q *query) (*api.Shares, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	flows, _, err := gather[flowsPart](ctx, s, q.replica, question{Ask: askFlows})
	if err != nil {
		return nil, err
	}
	answer := &api.Shares{Fleet: fleet, Shares: []api.Share{}, Groups: groupShares(s.mergeFlows(flows), s.cfg.Configuration().Maxima, limitOf(parts))}
	now := time.Now()
	for priority, account := range guarantees(parts, s.cfg.Configuration().Guaranteed) {
		share := api.Share{Priority: priority, Guaranteed: account.Slots, Owed: account.Owed, Had: s.had.of(priority, now, account)}
		for i := range parts {
			for _, b := range parts[i].part.Bands {
				if b.Priority == priority {
					share.InFlight, share.Queued = share.InFlight+b.InFlight, share.Queued+b.Queued
				}
			}
		}
		answer.Shares = append(answer.Shares, share)
	}
	slices.SortFunc(answer.Shares, func(a, b api.Share) int { return cmp.Compare(b.Priority, a.Priority) })
	return answer, nil
}

// guarantees are the accounts of all that is guaranteed, also of priorities that nobody has
// asked for yet.
func guarantees(parts []partOf[statePart], guaranteed map[int]float64) map[int]store.Guarantee {
	all := accounts(parts)
	for priority, part := range guaranteed {
		if _, known := all[priority]; !known {
			all[priority] = store.Guarantee{Slots: part * float64(limitOf(parts))}
		}
	}
	return all
}

// limitOf is how many requests the pool takes; 0 if that is not known, or for no limit.
func limitOf(parts []partOf[statePart]) (limit int64) {
	for i := range parts {
		limit = max(limit, parts[i].part.Pool.Limit)
	}
	if limit >= store.Unlimited {
		return 0
	}
	return limit
}

// groupShares adds up what the flows of each group have, the highest priority first, with
// the maxima in a pool of that limit, 0 for none.
func groupShares(flows []*flow, maxima map[string]shard.Maximum, limit int64) []api.GroupShare {
	type at struct {
		priority int
		group    string
	}
	by, all := make(map[at]*api.GroupShare), []api.GroupShare{}
	for _, f := range flows {
		for _, g := range f.groups {
			to := by[at{f.Priority, g.Path}]
			if to == nil {
				to = &api.GroupShare{Group: g.Path, Priority: f.Priority, Weight: g.Weight}
				by[at{f.Priority, g.Path}] = to
			}
			to.InFlight, to.Queued, to.Flows = to.InFlight+f.InFlight, to.Queued+f.Queued, to.Flows+1
			to.Share, to.Entitled = to.Share+f.Share, to.Entitled+f.Entitled
		}
	}
	inFlight := inFlightIn(flows)
	for _, g := range by {
		g.InFlightOfAll = inFlight[g.Group]
		if most := maximumOf(maxima[g.Group], limit); most > 0 {
			g.Maximum, g.AtMaximum = &most, g.InFlightOfAll >= most
		}
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b api.GroupShare) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Group, b.Group))
	})
	return all
}

// inFlightIn is what groups have in flight over all priorities.
func inFlightIn(flows []*flow) map[string]int64 {
	sums := make(map[string]int64)
	for _, f := range flows {
		for _, g := range f.groups {
			sums[g.Path] += f.InFlight
		}
	}
	return sums
}

// maximumOf is a maximum in requests, in a pool of that limit; 0 for none.
func maximumOf(m shard.Maximum, limit int64) int64 {
	if !m.Any() || m.Part > 0 && limit == 0 {
		return 0
	}
	return max(1, int64(m.Slots(limit)))
}

// accounts are those of the priorities that are guaranteed something, by the replica that
// heard of the ledger last. One without requests of a priority hears nothing of it.
func accounts(parts []partOf[statePart]) map[int]store.Guarantee {
	all, heard := make(map[int]store.Guarantee), make(map[int]time.Time)
	for i := range parts {
		part := &parts[i].part
		for _, b := range part.Bands {
			if b.Share.Slots > 0 && !part.Answered.Before(heard[b.Priority]) {
				all[b.Priority], heard[b.Priority] = b.Share, part.Answered
			}
		}
	}
	return all
}

// windows are the times that are told of, in minutes.
var windows = [...]int{1, 5, 60}

// had remembers the accounts of the last hour. It is safe for concurrent use.
type had struct {
	mu      sync.Mutex
	samples []hadSample // oldest first
}

type hadSample struct {
	at       time.Time
	accounts map[int]store.Guarantee
}

// add remembers the accounts at a time.
func (h *had) add(at time.Time, accounts map[int]store.Guarantee) {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := time.Duration(windows[len(windows)-1]) * time.Minute
	h.samples = append(h.samples, hadSample{at, accounts})
	for at.Sub(h.samples[0].at) > longest {
		h.samples = h.samples[1:]
	}
}

// of is what a priority had until now, when its account is that one. A ledger that forgot
// began to count anew; what was before that is left out.
func (h *had) of(priority int, now time.Time, account store.Guarantee) []api.Had {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]api.Had, 0, len(windows))
	for _, minutes := range windows {
		window := api.Had{Minutes: minutes}
		later := account
		for _, sample := range slices.Backward(h.samples) {
			before, known := sample.accounts[priority]
			if !known || now.Sub(sample.at) > time.Duration(minutes)*time.Minute || before.Got > later.Got {
				break
			}
			later = before
			if span := now.Sub(sample.at); span > 0 {
				window.SpanMS = span.Milliseconds()
				window.Slots = (account.Got - before.Got) / span.Seconds()
				window.BelowMS = int64(1000 * (account.Below - before.Below))
			}
		}
		list = append(list, window)
	}
	return list
}
