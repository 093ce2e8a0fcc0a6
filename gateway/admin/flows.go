package admin

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/internal/suggest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// maxFlowParts bounds the flows of one replica's part.
const maxFlowParts = 25_000

// flowsPart is what one replica knows of the flows.
type flowsPart struct {
	SpanMS   int64          `json:"span_ms"`
	Shadow   bool           `json:"shadow,omitempty"`
	Policies map[int]string `json:"policies"` // by priority
	Flows    []flowPart     `json:"flows"`
}

// flowPart is a flow at one replica: as its owner the queue, as an ingress what came in.
type flowPart struct {
	ID       string     `json:"i"`
	Priority int        `json:"p,omitempty"`
	Owned    bool       `json:"o,omitempty"`
	Queued   int64      `json:"q,omitempty"`
	Oldest   int64      `json:"a,omitempty"` // milliseconds ago
	Counter  float64    `json:"c,omitempty"`
	AtLimit  bool       `json:"l,omitempty"`
	Maximum  string     `json:"m,omitempty"` // the group that is at its own
	InFlight int64      `json:"f,omitempty"`
	Requests int64      `json:"r,omitempty"`
	Tokens   int64      `json:"t,omitempty"`
	In       int64      `json:"ti,omitempty"`
	Cached   int64      `json:"tc,omitempty"`
	Out      int64      `json:"to,omitempty"`
	Recent   countsPart `json:"n,omitzero"`
}

// flowParts is this replica's part.
func (s *Server) flowParts(ctx context.Context) (flowsPart, error) {
	v, err := s.cfg.Gateway.Controller().View(ctx)
	if err != nil {
		return flowsPart{}, err
	}
	parts := make(map[policies.FlowKey]*flowPart, len(v.Flows))
	of := func(key policies.FlowKey) *flowPart {
		p := parts[key]
		if p == nil {
			p = &flowPart{ID: key.ID, Priority: key.Priority}
			parts[key] = p
		}
		return p
	}
	for i := range v.Flows {
		f := &v.Flows[i]
		p := of(f.Key)
		p.Owned, p.Queued, p.Counter, p.AtLimit, p.Maximum = true, f.Requests, f.Counter, f.AtLimit, f.AtMaximum
		if !f.Oldest.IsZero() {
			p.Oldest = max(0, v.Now.Sub(f.Oldest).Milliseconds())
		}
	}
	s.cfg.Gateway.Flows(func(key policies.FlowKey, f flows.Figures) {
		p := of(key)
		p.InFlight, p.Requests, p.Tokens = f.InFlight, f.ServedRequests, f.ServedTokens
		p.In, p.Cached, p.Out = f.TokensIn, f.TokensCached, f.TokensOut
	})
	s.cfg.Traffic.Flows(func(key policies.FlowKey, c traffic.Counts) { of(key).Recent = countsOf(&c) })
	part := flowsPart{SpanMS: s.cfg.Traffic.Span().Milliseconds(), Shadow: s.cfg.Gateway.Shadow().On(), Policies: make(map[int]string)}
	for i := range v.Bands {
		part.Policies[v.Bands[i].Priority] = v.Bands[i].Policy
	}
	for _, p := range parts {
		if len(part.Flows) == maxFlowParts {
			break
		}
		part.Flows = append(part.Flows, *p)
	}
	return part, nil
}

// flow is a flow of the whole fleet.
type flow struct {
	api.Flow
	groups []shard.Group // that it is in, the outermost first
	counts traffic.Counts
}

// checkGroup refuses a group that there is not: nothing would be in it, as if it were idle.
func (s *Server) checkGroup(group string) error {
	names := s.cfg.Configuration().GroupNames
	listed := strings.TrimSuffix(strings.TrimSuffix(group, shard.Others), "/") // of those beside the groups in it
	switch {
	case len(names) == 0:
		return saying(errQuery, "there are no groups here: list them under weir.groups")
	case listed == "", slices.Contains(names, listed):
		return nil
	}
	if meant := suggest.Closest(group, names); meant != "" {
		return saying(errNotFound, "there is no group %q; did you mean %q?", group, meant)
	}
	return saying(errNotFound, "there is no group %q; there are: %s", group, strings.Join(names[:min(len(names), 20)], ", "))
}

func (s *Server) flows(ctx context.Context, q *query) (*api.Flows, error) {
	if q.group != "" {
		if err := s.checkGroup(q.group); err != nil {
			return nil, err
		}
	}
	parts, fleet, err := gather[flowsPart](ctx, s, q.replica, question{Ask: askFlows})
	if err != nil {
		return nil, err
	}
	all := s.mergeFlows(parts)
	all = slices.DeleteFunc(all, func(f *flow) bool { return !q.takesFlow(&f.Flow) })
	orderFlows(all, q.sort)
	some, p := page(q, all)
	a := &api.Flows{Fleet: fleet, Page: p, Flows: make([]api.Flow, 0, len(some))}
	for _, f := range some {
		a.Flows = append(a.Flows, f.Flow)
	}
	for i := range parts {
		a.Shadow = a.Shadow || parts[i].part.Shadow
	}
	return a, nil
}

// takesFlow reports whether a flow is among those asked for.
func (q *query) takesFlow(f *api.Flow) bool {
	switch {
	case q.group != "" && !within(f.Group, q.group),
		q.flow != "" && !strings.Contains(strings.ToLower(f.ID), strings.ToLower(q.flow)),
		q.priority != nil && f.Priority != *q.priority,
		q.state == "waiting" && f.Queued == 0,
		q.state == "in_flight" && f.InFlight == 0,
		q.state == "at_limit" && !f.AtLimit:
		return false
	}
	return true
}

// within reports whether a group, by its path, is that of another path or in it.
func within(group, path string) bool {
	rest, below := strings.CutPrefix(group, path)
	return below && (rest == "" || rest[0] == '/')
}

// mergeFlows makes one list of the replicas' parts, with each flow's share.
func (s *Server) mergeFlows(parts []partOf[flowsPart]) []*flow {
	c := s.cfg.Configuration()
	byKey := make(map[policies.FlowKey]*flow)
	byTokens := make(map[int]bool) // bands whose policy counts tokens
	span := time.Duration(0)
	for i := range parts {
		part := &parts[i].part
		span = max(span, time.Duration(part.SpanMS)*time.Millisecond)
		for priority, policy := range part.Policies {
			byTokens[priority] = byTokens[priority] || strings.Contains(policy, " tokens")
		}
		for j := range part.Flows {
			from := &part.Flows[j]
			key := policies.FlowKey{ID: from.ID, Priority: from.Priority}
			f := byKey[key]
			if f == nil {
				f = &flow{Flow: api.Flow{ID: key.ID, Priority: key.Priority, Weight: 1}}
				byKey[key] = f
			}
			f.take(from, parts[i].replica)
		}
	}
	all := make([]*flow, 0, len(byKey))
	for key, f := range byKey {
		if c.Weight != nil {
			f.Weight = c.Weight(key)
		}
		if c.FleetPart != nil {
			if part := c.FleetPart(key.ID); part < 1 {
				f.FleetPart = part
			}
		}
		if c.Limit != nil {
			if l := c.Limit(key.ID); l.Any() {
				f.Limit = &api.FlowLimit{MaxInFlight: l.MaxInFlight, TokensPerMinute: l.TokensPerMinute, Rejects: l.Reject}
			}
		}
		if c.Groups != nil {
			f.groups = c.Groups(key.ID)
			f.Group = groupOf(f.groups)
		}
		f.Recent = recent(&f.counts, span)
		all = append(all, f)
	}
	share(all, byTokens)
	return all
}

// groupOf is the path of the innermost of a flow's groups.
func groupOf(groups []shard.Group) string { return groups[len(groups)-1].Path }

// take adds one replica's part.
func (f *flow) take(from *flowPart, replica string) {
	f.Queued += max(0, from.Queued)
	f.InFlight += max(0, from.InFlight)
	f.ServedRequests += max(0, from.Requests)
	f.ServedTokens += max(0, from.Tokens)
	f.TokensIn += max(0, from.In)
	f.TokensCached += max(0, from.Cached)
	f.TokensOut += max(0, from.Out)
	f.OldestMS = max(f.OldestMS, from.Oldest)
	f.AtLimit = f.AtLimit || from.AtLimit
	f.AtMaximum = cmp.Or(f.AtMaximum, from.Maximum)
	if from.Owned && (f.Owner == "" || from.Queued > 0) {
		f.Owner = replica
	}
	if !math.IsNaN(from.Counter) {
		f.Counter = max(f.Counter, from.Counter)
	}
	from.Recent.addTo(&f.counts)
}

// share works out what each flow got of its band, and what it should have had: a flow that
// nothing waits of got what it wanted, and one at a limit or in a group at its maximum what
// it may have, as has one that may have fewer in flight than would be due to it; what these
// leave is the others', by their weights and those of their groups.
func share(all []*flow, byTokens map[int]bool) {
	type band struct {
		served, content float64
		inFlight        int64
	}
	bands := make(map[int]*band)
	served := func(f *flow) float64 {
		if byTokens[f.Priority] {
			return float64(f.counts.Tokens)
		}
		return float64(f.counts.Dispatched)
	}
	bounded := make(map[*flow]bool)
	hungry := func(f *flow) bool {
		return f.Queued > 0 && !f.AtLimit && f.AtMaximum == "" && f.Weight > 0 && !bounded[f]
	}
	for _, f := range all {
		b := bands[f.Priority]
		if b == nil {
			b = &band{}
			bands[f.Priority] = b
		}
		b.inFlight += f.InFlight
	}
	part := parts(all, hungry)
	for _, f := range all {
		if l := f.Limit; l != nil && l.MaxInFlight > 0 && hungry(f) && part(f)*float64(bands[f.Priority].inFlight) > float64(l.MaxInFlight) {
			bounded[f] = true
		}
	}
	for _, f := range all {
		b := bands[f.Priority]
		b.served += served(f)
		if !hungry(f) {
			b.content += served(f)
		}
	}
	part = parts(all, hungry)
	for _, f := range all {
		b := bands[f.Priority]
		if b.served == 0 {
			continue
		}
		f.Share = served(f) / b.served
		if f.Entitled = f.Share; hungry(f) {
			f.Entitled = (b.served - b.content) / b.served * part(f)
		}
	}
}

// flowOrder is by what flows can be sorted; ids break ties.
var flowOrder = map[string]func(a, b *api.Flow) int{
	"id":        func(_, _ *api.Flow) int { return 0 },
	"priority":  func(a, b *api.Flow) int { return cmp.Compare(a.Priority, b.Priority) },
	"queued":    func(a, b *api.Flow) int { return cmp.Compare(a.Queued, b.Queued) },
	"in_flight": func(a, b *api.Flow) int { return cmp.Compare(a.InFlight, b.InFlight) },
	"share":     func(a, b *api.Flow) int { return cmp.Compare(a.Share, b.Share) },
	"weight":    func(a, b *api.Flow) int { return cmp.Compare(a.Weight, b.Weight) },
	"oldest":    func(a, b *api.Flow) int { return cmp.Compare(a.OldestMS, b.OldestMS) },
	"wait":      func(a, b *api.Flow) int { return cmp.Compare(a.Recent.WaitP99MS, b.Recent.WaitP99MS) },
	"requests":  func(a, b *api.Flow) int { return cmp.Compare(a.Recent.Dispatched, b.Recent.Dispatched) },
	"tokens":    func(a, b *api.Flow) int { return cmp.Compare(a.ServedTokens, b.ServedTokens) },
	"refused": func(a, b *api.Flow) int {
		return cmp.Compare(a.Recent.Refused+a.Recent.Evicted, b.Recent.Refused+b.Recent.Evicted)
	},
}

// flowOrders are the names of the orders, in a fixed order themselves.
func flowOrders() []string {
	names := make([]string, 0, len(flowOrder))
	for name := range flowOrder {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// descending are the orders turned round.
func descending(orders []string) []string {
	turned := make([]string, 0, len(orders))
	for _, o := range orders {
		turned = append(turned, "-"+o)
	}
	return turned
}

// orderFlows sorts flows: by an order, turned round after a minus sign; by priority and id
// if none is asked for.
func orderFlows(all []*flow, order string) {
	name, down := strings.CutPrefix(order, "-")
	compare := flowOrder[name]
	if compare == nil {
		compare, down = flowOrder["priority"], true
	}
	sign := 1
	if down {
		sign = -1
	}
	byID := 1
	if name == "id" && down {
		byID = -1
	}
	slices.SortFunc(all, func(a, b *flow) int {
		return cmp.Or(sign*compare(&a.Flow, &b.Flow), byID*strings.Compare(a.ID, b.ID), cmp.Compare(b.Priority, a.Priority))
	})
}
