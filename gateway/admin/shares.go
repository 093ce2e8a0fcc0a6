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
	merged, c := s.mergeFlows(flows), s.cfg.Configuration()
	answer := &api.Shares{Fleet: fleet, Shares: []api.Share{}, Guaranteed: []api.GroupGuarantee{}, Groups: groupShares(merged, c.Maxima, limitOf(parts))}
	now, has := time.Now(), usedBy(parts, merged)
	for of, account := range guarantees(parts, &c) {
		a := has[of]
		a.Guaranteed, a.Owed, a.Had = account.Slots, account.Owed, s.had.of(of, now, account)
		if of.group == "" {
			answer.Shares = append(answer.Shares, api.Share{Priority: of.priority, Account: a})
		} else {
			answer.Guaranteed = append(answer.Guaranteed, api.GroupGuarantee{Group: of.group, Account: a})
		}
	}
	slices.SortFunc(answer.Shares, func(a, b api.Share) int { return cmp.Compare(b.Priority, a.Priority) })
	slices.SortFunc(answer.Guaranteed, func(a, b api.GroupGuarantee) int { return cmp.Compare(a.Group, b.Group) })
	return answer, nil
}

// class is what may be guaranteed a part of the pool: a priority, or a group over all of them,
// by its path.
type class struct {
	priority int
	group    string
}

// usedBy is what classes have in flight, and what waits in them.
func usedBy(parts []partOf[statePart], flows []*flow) map[class]api.Account {
	has := make(map[class]api.Account)
	add := func(of class, inFlight, queued int64) {
		a := has[of]
		a.InFlight, a.Queued = a.InFlight+inFlight, a.Queued+queued
		has[of] = a
	}
	for i := range parts {
		for _, b := range parts[i].part.Bands {
			add(class{priority: b.Priority}, b.InFlight, b.Queued)
		}
	}
	for _, f := range flows {
		for _, g := range f.groups {
			add(class{group: g.Path}, f.InFlight, f.Queued)
		}
	}
	return has
}

// guarantees are the accounts of all that is guaranteed, also of what nobody has asked for
// yet.
func guarantees(parts []partOf[statePart], c *Configuration) map[class]store.Guarantee {
	all := accounts(parts)
	add := func(of class, part float64) {
		if _, known := all[of]; !known {
			all[of] = store.Guarantee{Slots: part * float64(limitOf(parts))}
		}
	}
	for priority, part := range c.Guaranteed {
		add(class{priority: priority}, part)
	}
	for path, part := range c.GuaranteedGroups {
		add(class{group: path}, part)
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

// accounts are those of the classes that are guaranteed something, by the replica that heard
// of the ledger last. One without requests of a priority hears nothing of it.
func accounts(parts []partOf[statePart]) map[class]store.Guarantee {
	all, heard := make(map[class]store.Guarantee), make(map[class]time.Time)
	for i := range parts {
		part := &parts[i].part
		add := func(of class, account store.Guarantee) {
			if account.Slots > 0 && !part.Answered.Before(heard[of]) {
				all[of], heard[of] = account, part.Answered
			}
		}
		for _, b := range part.Bands {
			add(class{priority: b.Priority}, b.Share)
		}
		for _, g := range part.Groups {
			add(class{group: g.Path}, g.Share)
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
	accounts map[class]store.Guarantee
}

// add remembers the accounts at a time.
func (h *had) add(at time.Time, accounts map[class]store.Guarantee) {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := time.Duration(windows[len(windows)-1]) * time.Minute
	h.samples = append(h.samples, hadSample{at, accounts})
	for at.Sub(h.samples[0].at) > longest {
		h.samples = h.samples[1:]
	}
}

// of is what a class had until now, when its account is that one. A ledger that forgot began to
// count anew; what was before that is left out.
func (h *had) of(of class, now time.Time, account store.Guarantee) []api.Had {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]api.Had, 0, len(windows))
	for _, minutes := range windows {
		window := api.Had{Minutes: minutes}
		later := account
		for _, sample := range slices.Backward(h.samples) {
			before, known := sample.accounts[of]
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
