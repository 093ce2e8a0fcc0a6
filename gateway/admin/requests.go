package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/policies"
)

// maxRequestParts bounds the requests of one replica's part.
const maxRequestParts = 10_000

// requestsPart is requests whose connections one replica holds, at most maxRequestParts of
// All.
type requestsPart struct {
	All      int           `json:"all"`
	Requests []api.Request `json:"requests"`
}

func (s *Server) requestsPart(ctx context.Context, q *question) (requestsPart, error) {
	v, err := s.cfg.Gateway.Controller().View(ctx)
	if err != nil {
		return requestsPart{}, err
	}
	match := func(r *controller.RequestView) bool {
		switch {
		case q.ID != "" && r.Name != q.ID && ticketName(r.ID) != q.ID,
			q.Flow != "" && r.Flow.ID != q.Flow,
			q.Priority != nil && r.Flow.Priority != *q.Priority,
			q.State == "waiting" && r.InFlight,
			q.State == "in_flight" && !r.InFlight:
			return false
		}
		return true
	}
	some, all, err := s.cfg.Gateway.Controller().Requests(ctx, match, maxRequestParts)
	if err != nil {
		return requestsPart{}, err
	}
	only := ""
	if all := s.cfg.Gateway.Endpoints().Endpoints(); len(all) == 1 {
		only = all[0].Address()
	}
	part := requestsPart{All: all, Requests: make([]api.Request, 0, len(some))}
	for i := range some {
		r := requestOf(&some[i], v.Now)
		r.Shadow = s.cfg.Gateway.Shadow().On()
		if r.Endpoint == "" && some[i].InFlight {
			r.Endpoint = only // nobody notes where there is no choice
		}
		part.Requests = append(part.Requests, r)
	}
	return part, nil
}

func requestOf(v *controller.RequestView, now time.Time) api.Request {
	r := api.Request{
		Ticket: ticketName(v.ID), Flow: v.Flow.ID, Priority: v.Flow.Priority, State: "waiting",
		Arrived: v.Arrival, AgeMS: max(0, now.Sub(v.Arrival).Milliseconds()),
		Bytes: v.Bytes, InputTokens: v.InputTokens, OutputTokens: v.OutputTokens,
		Ingress: v.ID.Ingress, Owner: v.Owner, Endpoint: v.Endpoint, InLine: v.InLine,
	}
	if r.ID = v.Name; r.ID == "" {
		r.ID = r.Ticket
	}
	if v.InFlight {
		r.State = "in_flight"
	} else if !v.Deadline.IsZero() {
		r.Deadline = &v.Deadline
	}
	return r
}

// ticketName is a ticket as operators name it.
func ticketName(id policies.TicketID) string { return fmt.Sprintf("%s:%d", id.Ingress, id.Seq) }

// errTicket says that a text names no ticket.
var errTicket = errors.New("a ticket is named REPLICA:NUMBER")

// ticketNamed is the inverse of ticketName.
func ticketNamed(name string) (policies.TicketID, error) {
	at := strings.LastIndexByte(name, ':')
	if at < 0 {
		return policies.TicketID{}, errTicket
	}
	seq, err := strconv.ParseUint(name[at+1:], 10, 64)
	if err != nil {
		return policies.TicketID{}, errTicket
	}
	return policies.TicketID{Ingress: name[:at], Seq: seq}, nil
}

// requests lists requests, the longest waiting first, and then those in flight.
func (s *Server) requests(ctx context.Context, q *query) (*api.Requests, error) {
	if q.state == "at_limit" {
		return nil, saying(errQuery, "state=at_limit is one of flows; of requests there are waiting and in_flight")
	}
	parts, fleet, err := gather[requestsPart](ctx, s, q.replica, question{Ask: askRequests, Flow: q.flow, Priority: q.priority, State: q.state})
	if err != nil {
		return nil, err
	}
	var all []api.Request
	total := 0
	for i := range parts {
		total += parts[i].part.All
		all = append(all, parts[i].part.Requests...)
	}
	slices.SortFunc(all, func(a, b api.Request) int {
		return cmp.Or(cmp.Compare(b.State, a.State), a.Arrived.Compare(b.Arrived), cmp.Compare(a.Ticket, b.Ticket))
	})
	some, p := page(q, all)
	p.Total = max(total, p.Total)
	return &api.Requests{Fleet: fleet, Page: p, Requests: some}, nil
}

// errIncomplete says that a replica that may know of a request did not answer.
var errIncomplete = errors.New("not at the replicas that answered, and not all did: ask again")

// request is one request, and why it waits.
func (s *Server) request(ctx context.Context, q *query) (*api.RequestDetail, error) {
	parts, fleet, err := gather[requestsPart](ctx, s, false, question{Ask: askRequests, ID: q.id})
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if found := parts[i].part.Requests; len(found) > 0 {
			d := &api.RequestDetail{Fleet: fleet, Request: found[0]}
			if d.State == "waiting" {
				d.Why, err = s.why(ctx, &d.Request)
			}
			return d, err
		}
	}
	if len(fleet.Missing) > 0 {
		return nil, fmt.Errorf("request %q: %w", q.id, errIncomplete)
	}
	return nil, saying(errNotFound, "no replica has a request %q: it was answered, or never came", q.id)
}
