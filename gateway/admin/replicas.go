package admin

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
)

func (s *Server) endpoints(ctx context.Context, q *query) (*api.Endpoints, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	all := make(map[string]*api.Endpoint)
	here := make(map[string]int) // in flight by those who answered
	for i := range parts {
		own := parts[i].replica == s.cfg.Replica
		for j := range parts[i].part.Endpoints {
			from := &parts[i].part.Endpoints[j]
			e := all[from.URL]
			if e == nil {
				e = &api.Endpoint{Name: from.Name, URL: from.URL, Labels: from.Labels, Healthy: true}
				all[from.URL] = e
			}
			here[from.URL] += from.InFlightHere
			e.InFlight = max(e.InFlight, from.InFlight)
			e.Drained = e.Drained || from.Drained
			if own {
				e.InFlightHere = from.InFlightHere
			}
			if !from.Healthy {
				e.Healthy = false
				e.EjectedBy = append(e.EjectedBy, parts[i].replica)
			}
			read(e, from)
		}
	}
	list := make([]*api.Endpoint, 0, len(all))
	for url, e := range all {
		if len(fleet.Missing) == 0 && !q.replica {
			e.InFlight = here[url] // no older than the answer; what the ledger told is
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *api.Endpoint) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.URL, b.URL))
	})
	some, p := page(q, list)
	a := &api.Endpoints{Fleet: fleet, Page: p, Endpoints: make([]api.Endpoint, 0, len(some))}
	for _, e := range some {
		a.Endpoints = append(a.Endpoints, *e)
	}
	return a, nil
}

func (s *Server) replicas(ctx context.Context, q *query) (*api.Replicas, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	list := s.mergeReplicas(parts)
	some, p := page(q, list)
	return &api.Replicas{Fleet: fleet, Page: p, Replicas: some}, nil
}

// mergeReplicas lists the replicas by what each says of itself and of the others.
func (s *Server) mergeReplicas(parts []partOf[statePart]) []api.Replica {
	all := make(map[string]*api.Replica)
	of := func(id string) *api.Replica {
		r := all[id]
		if r == nil {
			r = &api.Replica{ID: id, Self: id == s.cfg.Replica}
			all[id] = r
		}
		return r
	}
	differing := make(map[string]map[string]int) // by replica and setting: how many others say so
	unreached := make(map[string]bool)
	for i := range parts {
		part, teller := &parts[i].part, parts[i].replica
		own := of(teller)
		answered(own, part)
		for j := range part.Peers {
			p := &part.Peers[j]
			r := of(p.ID)
			r.Live, r.Leaving, r.LedgerLost = r.Live || p.Live, r.Leaving || p.Leaving, r.LedgerLost || p.LedgerLost
			r.Version, r.Incarnation = cmp.Or(r.Version, p.Version), max(r.Incarnation, p.Incarnation)
			unreached[p.ID] = unreached[p.ID] || !p.Reachable
			if teller == s.cfg.Replica {
				r.TicketsThere, r.TicketsHere = p.TicketsThere, p.TicketsHere
			}
			for _, setting := range settings(p.Differs) {
				if differing[p.ID] == nil {
					differing[p.ID] = make(map[string]int)
				}
				differing[p.ID][setting]++
			}
		}
		if teller == s.cfg.Replica {
			for _, owner := range part.Owners {
				of(owner).Shards++
			}
			for _, a := range part.Apart {
				r := of(a.ID)
				r.Live, r.OtherLedger = true, &api.OtherLedger{Pool: a.Pool, Prefix: a.Prefix}
			}
			for _, l := range part.Lost { // gossip may have forgotten it
				of(l.Replica).Lost = &api.Lost{InFlight: l.Held, Seconds: l.For.Seconds()}
			}
		}
	}
	list := make([]api.Replica, 0, len(all))
	for id, r := range all {
		r.Reachable = r.OtherLedger == nil && !unreached[id]
		for _, setting := range slices.Sorted(maps.Keys(differing[id])) {
			if 2*differing[id][setting] > len(parts)-1 { // most others say so
				r.Differs = append(r.Differs, setting)
			}
		}
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b api.Replica) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// read takes over the endpoint's own figures if they are newer.
func read(e *api.Endpoint, from *endpoints.Status) {
	if from.AgeMS != nil && (e.AgeMS == nil || *from.AgeMS < *e.AgeMS) {
		e.Running, e.Waiting, e.KVCacheUsage, e.AgeMS = from.Running, from.Waiting, from.KVCacheUsage, from.AgeMS
	}
}

// answered takes over what a replica says of itself.
func answered(r *api.Replica, part *statePart) {
	started := part.Started
	r.Answered, r.Started, r.Version, r.Incarnation = true, &started, part.Version, part.Incarnation
	r.LedgerState, r.TurnMS, r.Fingerprint = string(part.Ledger), part.TurnMS, part.Fingerprint
	r.Refused = part.Refused
	r.Waiting, r.InFlight, r.Shadow = part.Waiting, part.InFlight, part.Shadow
	for i := range part.Bands {
		r.Queued += part.Bands[i].Queued
	}
}

// settings are what is named, separated by commas; nil for none.
func settings(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ", ")
}

func (s *Server) shards(ctx context.Context, q *query) (*api.Shards, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	a := &api.Shards{Fleet: fleet, Shards: []api.Shard{}}
	for i := range parts {
		if parts[i].replica == s.cfg.Replica {
			a.Version = parts[i].part.MapVersion
			for n, owner := range parts[i].part.Owners {
				a.Shards = append(a.Shards, api.Shard{Shard: n, Owner: owner})
			}
		}
	}
	countShards(a.Shards, parts, fleet.Answered)
	return a, nil
}

// countShards fills in what is in the shards' queues. The flows are those that the owner
// knows: who owned a shard before remembers its flows for a while.
func countShards(shards []api.Shard, parts []partOf[statePart], answered []string) {
	for i := range parts {
		for n, queue := range parts[i].part.Shards {
			if n < 0 || n >= len(shards) {
				continue
			}
			shard := &shards[n]
			shard.Queued += queue[1]
			if flows := int(queue[0]); parts[i].replica == shard.Owner || !slices.Contains(answered, shard.Owner) && flows > shard.Flows {
				shard.Flows = flows
			}
		}
	}
}

func (s *Server) config(ctx context.Context, q *query) (*api.Config, error) {
	parts, fleet, err := gather[statePart](ctx, s, q.replica, question{Ask: askState})
	if err != nil {
		return nil, err
	}
	c := s.cfg.Configuration()
	a := &api.Config{Fleet: fleet, YAML: c.YAML, Files: append([]string{}, c.Files...), Loaded: c.Loaded}
	for i := range parts {
		a.Replicas = append(a.Replicas, api.ConfigOf{Replica: parts[i].replica, Fingerprint: parts[i].part.Fingerprint, Loaded: parts[i].part.Loaded, Refused: parts[i].part.Refused})
	}
	return a, nil
}
