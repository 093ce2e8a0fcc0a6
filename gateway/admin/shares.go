package admin

import (
	"cmp"
	"context"
	"math"
	"slices"
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
	watched, _, err := gather[hadPart](ctx, s, q.replica, question{Ask: askHad})
	if err != nil {
		return nil, err
	}
	merged, c := s.mergeFlows(flows), s.cfg.Configuration()
	limit, had := limitOf(parts), longestWatched(watched)
	answer := &api.Shares{Fleet: fleet, Shares: []api.Share{}, OverPriorities: []api.GroupAccount{}, Groups: groupShares(merged, c.Maxima, limit)}
	used, weights := classes(parts, merged, watched, &c), bandWeights(parts, &c)
	for of, account := range guarantees(parts, &c) {
		a := used[of]
		a.Guaranteed, a.Owed = account.Slots, account.Owed
		used[of] = a
	}
	entitle(used, answer.Groups, entitledBands(parts, used, weights, limit), func(group string) int64 { return maximumOf(c.Maxima[group], limit) })
	for of, a := range used {
		a.Had = had(of)
		if of.group == "" {
			answer.Shares = append(answer.Shares, api.Share{Priority: of.priority, Weight: weights[of.priority], Account: a})
		} else {
			answer.OverPriorities = append(answer.OverPriorities, api.GroupAccount{Group: of.group, Account: a})
		}
	}
	slices.SortFunc(answer.Shares, func(a, b api.Share) int { return cmp.Compare(b.Priority, a.Priority) })
	slices.SortFunc(answer.OverPriorities, func(a, b api.GroupAccount) int { return cmp.Compare(a.Group, b.Group) })
	return answer, nil
}

// classes are all that had requests of late, that held slots in what was watched or that are
// listed, with what each has in flight, and what waits in it.
func classes(parts []partOf[statePart], flows []*flow, watched []partOf[hadPart], c *Configuration) map[class]api.Account {
	all := usedBy(parts, flows)
	add := func(of class) {
		if _, known := all[of]; !known {
			all[of] = api.Account{}
		}
	}
	for i := range watched {
		for _, w := range watched[i].part.Classes {
			if of := (class{w.Priority, w.Group}); of.group == "" || c.Groups != nil {
				add(of)
			}
		}
	}
	for priority := range c.Guaranteed {
		add(class{priority: priority})
	}
	for _, path := range c.GroupNames {
		add(class{group: path})
	}
	return all
}

// bandWeights are by what priorities share the pool, where they do.
func bandWeights(parts []partOf[statePart], c *Configuration) map[int]float64 {
	weights := make(map[int]float64)
	for priority := range c.Guaranteed {
		if c.BandWeight != nil {
			weights[priority] = c.BandWeight(priority)
		}
	}
	for i := range parts {
		for _, b := range parts[i].part.Bands {
			weights[b.Priority] = b.Weight
		}
	}
	return weights
}

// entitledBands is what priorities should have now of a pool of that limit, 0 for none.
func entitledBands(parts []partOf[statePart], used map[class]api.Account, weights map[int]float64, limit int64) map[int]float64 {
	most := make(map[int]float64)
	for i := range parts {
		for _, b := range parts[i].part.Bands {
			if b.Ceiling >= 0 && b.Ceiling < store.Unlimited {
				most[b.Priority] = float64(b.Ceiling)
			}
		}
	}
	slots := float64(limit)
	if limit == 0 {
		slots = math.Inf(1)
	}
	var bands []entitling
	for of, a := range used {
		if of.group != "" {
			continue
		}
		b := entitling{priority: of.priority, wants: float64(a.InFlight + a.Queued), guaranteed: a.Guaranteed, most: slots, weight: weights[of.priority]}
		if ceiling, some := most[of.priority]; some {
			b.most = min(b.most, ceiling)
		}
		bands = append(bands, b)
	}
	return bandEntitled(bands, slots)
}

// entitle sets what classes should have now, where priorities should have that: a group of each of its
// priorities by its weights, or its guarantee if that is more, up to its maximum; 0 for none.
func entitle(all map[class]api.Account, shares []api.GroupShare, bands map[int]float64, maximum func(group string) int64) {
	byWeight := make(map[string]float64)
	for i := range shares {
		byWeight[shares[i].Group] += shares[i].Entitled * bands[shares[i].Priority]
	}
	for of, a := range all {
		if of.group == "" {
			a.Entitled = bands[of.priority]
		} else {
			a.Entitled = min(float64(a.InFlight+a.Queued), max(byWeight[of.group], a.Guaranteed))
			if most := maximum(of.group); most > 0 {
				a.Entitled = min(a.Entitled, float64(most))
			}
		}
		all[of] = a
	}
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
