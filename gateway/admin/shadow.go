package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/shadow"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
)

// shadowPart is what flow control would have done with what came in by one replica.
type shadowPart struct {
	On    bool             `json:"on,omitempty"`
	Since time.Time        `json:"since,omitzero"`
	Until time.Time        `json:"until,omitzero"`
	Flows []shadowFlowPart `json:"flows"`
}

type shadowFlowPart struct {
	ID         string        `json:"i"`
	Priority   int           `json:"p,omitempty"`
	Requests   int64         `json:"r"`
	Held       time.Duration `json:"h,omitempty"`
	Dispatched int64         `json:"d,omitempty"`
	Refused    int64         `json:"x,omitempty"`
	Evicted    int64         `json:"e,omitempty"`
	Granted    time.Duration `json:"g,omitempty"`
	Waited     time.Duration `json:"s,omitempty"`
	Waits      []uint32      `json:"w,omitempty"`
}

// shadowPart is this replica's.
func (s *Server) shadowPart() shadowPart {
	r := s.cfg.Gateway.Shadow().Report()
	part := shadowPart{On: r.On, Since: r.Since, Until: r.Until}
	for key, f := range r.Flows {
		part.Flows = append(part.Flows, shadowFlowPart{
			ID: key.ID, Priority: key.Priority, Requests: f.Requests, Held: f.Held, Dispatched: f.Dispatched, Refused: f.Refused,
			Evicted: f.Evicted, Granted: f.Granted, Waited: f.Waited, Waits: f.Waits.Pairs(),
		})
	}
	return part
}

func (s *Server) shadow(ctx context.Context, q *query) (*api.Shadow, error) {
	parts, fleet, err := gather[shadowPart](ctx, s, q.replica, question{Ask: askShadow})
	if err != nil {
		return nil, err
	}
	a := mergeShadow(parts)
	all := slices.DeleteFunc(a.Flows, func(f api.ShadowFlow) bool {
		return !q.takesFlow(&api.Flow{ID: f.ID, Priority: f.Priority})
	})
	a.Fleet = fleet
	a.Flows, a.Page = page(q, all)
	return a, nil
}

// mergeShadow makes one report of the replicas' parts.
func mergeShadow(parts []partOf[shadowPart]) *api.Shadow {
	a := &api.Shadow{Flows: []api.ShadowFlow{}}
	var all shadow.Figures
	flows := make(map[policies.FlowKey]*shadow.Figures)
	for i := range parts {
		part := &parts[i].part
		a.On = a.On || part.On
		if t := part.Since; !t.IsZero() && (a.Since == nil || t.Before(*a.Since)) {
			a.Since = &t
		}
		if t := part.Until; !t.IsZero() && (a.Until == nil || t.After(*a.Until)) {
			a.Until = &t
		}
		for j := range part.Flows {
			from := &part.Flows[j]
			key := policies.FlowKey{ID: from.ID, Priority: from.Priority}
			if flows[key] == nil {
				flows[key] = &shadow.Figures{}
			}
			from.addTo(flows[key])
			from.addTo(&all)
		}
	}
	for key, f := range flows {
		a.Flows = append(a.Flows, api.ShadowFlow{ID: key.ID, Priority: key.Priority, ShadowFigures: shadowFigures(f, &all)})
	}
	a.All = shadowFigures(&all, &all)
	slices.SortFunc(a.Flows, func(a, b api.ShadowFlow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(b.Priority, a.Priority), strings.Compare(a.ID, b.ID))
	})
	return a
}

// addTo adds a replica's figures to those of others, without waits that cannot be read.
func (p *shadowFlowPart) addTo(f *shadow.Figures) {
	f.Requests += p.Requests
	f.Held += p.Held
	f.Dispatched += p.Dispatched
	f.Refused += p.Refused
	f.Evicted += p.Evicted
	f.Granted += p.Granted
	f.Waited += p.Waited
	if w, err := traffic.FromPairs(p.Waits); err == nil {
		f.Waits.Add(&w)
	}
}

// shadowFigures is figures as they are told, beside those of all flows.
func shadowFigures(f, all *shadow.Figures) api.ShadowFigures {
	part := func(of, all time.Duration) float64 { return of.Seconds() / max(all.Seconds(), 1e-9) }
	return api.ShadowFigures{
		Requests: f.Requests, Share: part(f.Held, all.Held),
		Dispatched: f.Dispatched, Refused: f.Refused, Evicted: f.Evicted, WouldShare: part(f.Granted, all.Granted),
		WaitMeanMS: ms(f.Waited / time.Duration(max(f.Dispatched, 1))), WaitP50MS: ms(f.Waits.Quantile(0.5)), WaitP99MS: ms(f.Waits.Quantile(0.99)),
	}
}
