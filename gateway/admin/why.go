package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// maxAhead bounds the flows that are listed ahead of a request.
const maxAhead = 50

// placePart is where a request stands, at the replica in whose queue it waits.
type placePart struct {
	Here  bool        `json:"here"`
	Place shard.Place `json:"place"`
}

func (s *Server) placePart(ctx context.Context, q *question) (placePart, error) {
	id, err := ticketNamed(q.ID)
	if err != nil {
		return placePart{}, err
	}
	place, here, err := s.cfg.Gateway.Controller().PlaceOf(ctx, id)
	return placePart{Here: here, Place: place}, err
}

// aheadPart is what goes before a request, in the queues of one replica.
type aheadPart struct {
	Ahead []api.Ahead `json:"ahead"`
}

func (s *Server) aheadPart(ctx context.Context, q *question) (aheadPart, error) {
	if q.Priority == nil {
		return aheadPart{}, fmt.Errorf("%w: no priority", errUnknownQuestion)
	}
	ahead, err := s.cfg.Gateway.Controller().Ahead(ctx, policies.FlowKey{ID: q.Flow, Priority: *q.Priority}, q.Rank, q.Score)
	part := aheadPart{}
	for key, n := range ahead {
		part.Ahead = append(part.Ahead, api.Ahead{Flow: key.ID, Priority: key.Priority, Requests: n})
	}
	return part, err
}

// why finds out why a request waits.
func (s *Server) why(ctx context.Context, r *api.Request) (*api.Why, error) {
	places, _, err := gather[placePart](ctx, s, false, question{Ask: askPlace, ID: r.Ticket})
	if err != nil {
		return nil, err
	}
	var place shard.Place
	for i := range places {
		if p := &places[i].part; p.Here && (place == shard.Place{} || places[i].replica == r.Owner) {
			place = p.Place
		}
	}
	var (
		aheads []partOf[aheadPart]
		states []partOf[statePart]
		flows  []partOf[flowsPart]
		fleet  api.Fleet
		failed [3]error
		asking sync.WaitGroup
	)
	asking.Go(func() {
		aheads, _, failed[0] = gather[aheadPart](ctx, s, false, question{Ask: askAhead, Flow: r.Flow, Priority: &r.Priority, Rank: place.Rank, Score: place.Score})
	})
	asking.Go(func() { states, fleet, failed[1] = gather[statePart](ctx, s, false, question{Ask: askState}) })
	asking.Go(func() { flows, _, failed[2] = gather[flowsPart](ctx, s, false, question{Ask: askFlows}) })
	asking.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return nil, err
	}
	merged := s.mergeFlows(flows)
	e := &explaining{
		request: r, place: place, pool: mergePool(states, len(fleet.Missing) == 0), own: findFlow(merged, r), states: states, accounts: accounts(states), used: usedBy(states, merged),
	}
	if group := place.AtMaximum; group != "" {
		e.inGroup, e.maximum = inFlightIn(merged)[group], maximumOf(s.cfg.Configuration().Maxima[group], limitOf(states))
	}
	e.why = api.Why{PlaceInFlow: place.Ahead + 1, Limit: e.own.Limit, InFlight: e.own.InFlight, FleetPart: e.own.FleetPart}
	e.lineUp(aheads)
	e.inItsGroup(merged)
	e.hold()
	e.expect()
	return &e.why, nil
}

// findFlow returns the request's flow, or an empty one.
func findFlow(all []*flow, r *api.Request) *flow {
	for _, f := range all {
		if f.ID == r.Flow && f.Priority == r.Priority {
			return f
		}
	}
	return &flow{Flow: api.Flow{ID: r.Flow, Priority: r.Priority, Weight: 1}}
}
