package admin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/store"
)

// maxAct bounds the body of a request that changes something, in bytes.
const maxAct = 16 << 10

// action is a request that changes something.
type action struct {
	*query
	body []byte
	from string // who asks: an address
}

// actions are the paths that change something.
func (s *Server) actions() []route {
	act := func(method, path, summary string, parameters []string, do func(context.Context, *action) (any, error), of, takes any) route {
		return route{path: path, summary: summary, parameters: parameters, answer: s.acting(do), of: of, acts: method, takes: takes}
	}
	return []route{
		act(http.MethodPost, "/v1/overrides", "Sets a flow's weight or limits, or drains an endpoint, for a time.", nil, s.override, api.Overrides{}, api.SetOverride{}),
		act(http.MethodDelete, "/v1/overrides", "Takes back what was set of a flow or an endpoint.", []string{"flow", "endpoint"}, s.takeBack, api.Overrides{}, nil),
		act(http.MethodDelete, "/v1/requests/{id}", "Ends a request that waits, or one in flight of a priority below 0.", nil, s.evict, api.Evicted{}, nil),
	}
}

// acting answers a request that changes something. It must have shown the admin token, which
// travels in a header: a browser sends it for no other site.
func (s *Server) acting(do func(context.Context, *action) (any, error)) func(http.ResponseWriter, *http.Request, []string) {
	return func(w http.ResponseWriter, r *http.Request, parameters []string) {
		if !s.mayAct() {
			fail(w, http.StatusForbidden, errors.New("nothing can be changed at an address that asks for no token: set weir.adminTokenFile (--admin-token-file)"))
			return
		}
		q, err := parse(r, parameters)
		a := &action{query: q, from: r.RemoteAddr}
		if err == nil {
			a.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxAct))
		}
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		v, err := do(r.Context(), a)
		respond(w, v, err)
	}
}

// mayAct reports whether anything can be changed by this address.
func (s *Server) mayAct() bool { return s.cfg.Guarded && s.cfg.Overrides != nil }

// override sets something for a time.
func (s *Server) override(ctx context.Context, a *action) (any, error) {
	var set api.SetOverride
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&set); err != nil {
		return nil, saying(errQuery, "what is to be set cannot be read: %v", err)
	}
	holds, err := time.ParseDuration(set.For)
	if err != nil {
		return nil, saying(errQuery, "for %q: it must be a time such as 90s, 10m or 1h30m", set.For)
	}
	of, err := s.subject(set.Flow, set.Endpoint)
	if err != nil {
		return nil, err
	}
	settings := overrides.Settings{Weight: set.Weight, MaxInFlight: set.MaxInFlight, TokensPerMinute: set.TokensPerMinute, Drain: set.Drain, Why: set.Why}
	if err := s.cfg.Overrides.Put(ctx, of, settings, holds); err != nil {
		return nil, perhaps("set", err)
	}
	s.acted("an operator set something for a time", a.from, zap.String("flow", of.Flow), zap.String("endpoint", of.Endpoint), zap.Any("set", settings), zap.Duration("for", holds))
	return s.applied(ctx)
}

// perhaps is an error of the ledger's that leaves open whether it took what it was given.
func perhaps(done string, err error) error {
	if errors.Is(err, overrides.ErrInvalid) || errors.Is(err, store.ErrOverrides) {
		return err
	}
	return fmt.Errorf("it may have been %s, and weir overrides says whether: %w", done, err)
}

// takeBack takes back what was set.
func (s *Server) takeBack(ctx context.Context, a *action) (any, error) {
	of, err := s.subject(a.flow, a.endpoint)
	if errors.Is(err, errNotFound) {
		of, err = overrides.Subject{Endpoint: a.endpoint}, nil // the endpoint may be gone
	}
	if err != nil {
		return nil, err
	}
	switch err := s.cfg.Overrides.Clear(ctx, of); {
	case errors.Is(err, overrides.ErrNothingSet):
		return nil, saying(errNotFound, "nothing is set of %q", of.Flow+of.Endpoint)
	case err != nil:
		return nil, perhaps("taken back", err)
	}
	s.acted("an operator took back what was set for a time", a.from, zap.String("flow", of.Flow), zap.String("endpoint", of.Endpoint))
	return s.applied(ctx)
}

// subject finds what is named: a flow by its id, or an endpoint by its name, address or URL.
func (s *Server) subject(flow, endpoint string) (overrides.Subject, error) {
	if (flow == "") == (endpoint == "") {
		return overrides.Subject{}, saying(errQuery, "name one flow or one endpoint")
	}
	if endpoint == "" {
		return overrides.Subject{Flow: flow}, nil
	}
	var names []string
	for _, e := range s.cfg.Gateway.Endpoints().Endpoints() {
		if endpoint == e.Address() || endpoint == e.Name() || endpoint == e.URL().String() {
			return overrides.Subject{Endpoint: e.Address()}, nil
		}
		names = append(names, e.Name())
	}
	return overrides.Subject{}, saying(errNotFound, "no endpoint is %q; there are: %s", endpoint, strings.Join(names[:min(len(names), 20)], ", "))
}

// acted logs what was changed, and by whom as far as is known.
func (s *Server) acted(what, from string, fields ...zap.Field) {
	s.cfg.Logger.Info(what, append(fields, zap.String("from", from))...)
}

// applied has all replicas look at what is set now, and lists it.
func (s *Server) applied(ctx context.Context) (any, error) {
	return s.overridesBy(ctx, false, question{Ask: askOverrides, Unique: rand.Text()})
}

func (s *Server) overrides(ctx context.Context, q *query) (*api.Overrides, error) {
	return s.overridesBy(ctx, q.replica, question{Ask: askOverrides})
}

// overridesPart is what this replica goes by.
func (s *Server) overridesPart(ctx context.Context, q *question) ([]api.Override, error) {
	if s.cfg.Overrides == nil {
		return nil, nil
	}
	if q.Unique != "" {
		_ = s.cfg.Overrides.Look(ctx) // it is logged, and this replica goes by what it knows
	}
	set := s.cfg.Overrides.Set().All()
	part := make([]api.Override, 0, len(set))
	for i := range set {
		o := &set[i]
		part = append(part, api.Override{
			Flow: o.Flow, Endpoint: o.Endpoint, Weight: o.Weight, MaxInFlight: o.MaxInFlight, TokensPerMinute: o.TokensPerMinute,
			Drain: o.Drain, Why: o.Why, Set: o.Set, Until: o.Until,
		})
	}
	return part, nil
}

func (s *Server) overridesBy(ctx context.Context, alone bool, q question) (*api.Overrides, error) {
	parts, fleet, err := gather[[]api.Override](ctx, s, alone, q)
	if err != nil {
		return nil, err
	}
	return &api.Overrides{Fleet: fleet, MayAct: s.mayAct(), Overrides: mergeOverrides(parts)}, nil
}

// mergeOverrides lists the latest override of each subject, with the replicas that go by it.
func mergeOverrides(parts []partOf[[]api.Override]) []api.Override {
	latest := make(map[overrides.Subject]api.Override)
	for i := range parts {
		for _, o := range parts[i].part {
			of := overrides.Subject{Flow: o.Flow, Endpoint: o.Endpoint}
			known, there := latest[of]
			if o.Replicas = nil; there && !o.Set.After(known.Set) {
				if o.Set.Before(known.Set) {
					continue
				}
				o = known
			}
			o.Replicas = append(o.Replicas, parts[i].replica)
			latest[of] = o
		}
	}
	all := make([]api.Override, 0, len(latest))
	for _, o := range latest {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b api.Override) int {
		return cmp.Or(strings.Compare(a.Endpoint, b.Endpoint), strings.Compare(a.Flow, b.Flow))
	})
	return all
}

// evictPart is which requests one replica ended, and which it did not, as they may not be. In
// shadow nothing is ended: Played is how many it has that went at once, beside which they are
// only played.
type evictPart struct {
	Ended  []api.Request `json:"ended"`
	Left   []api.Request `json:"left"`
	Played int           `json:"played,omitempty"`
}

// evictPart ends the requests of an id whose connections are here. It is the one that tells of
// it: whoever asked may have stopped waiting for the answer.
func (s *Server) evictPart(ctx context.Context, q *question) (part evictPart, _ error) {
	if q.ID == "" {
		return part, fmt.Errorf("%w: no request is named", errUnknownQuestion)
	}
	c := s.cfg.Gateway.Controller()
	v, err := c.View(ctx)
	if err != nil {
		return part, err
	}
	match := func(r *controller.RequestView) bool { return r.Name == q.ID || ticketName(r.ID) == q.ID }
	if s.cfg.Gateway.Shadow().On() {
		_, part.Played, err = c.Requests(ctx, match, 0)
		return part, err
	}
	ended, left, err := c.Evict(context.WithoutCancel(ctx), match)
	for i := range ended {
		r := requestOf(&ended[i], v.Now)
		part.Ended = append(part.Ended, r)
		s.acted("an operator ended a request", q.From, zap.String("request", r.ID), zap.String("ticket", r.Ticket), zap.String("flow", r.Flow), zap.Int("priority", r.Priority), zap.String("state", r.State))
		s.Note(api.RequestEvicted, api.Info, r.Flow, fmt.Sprintf("an operator ended a request of %s, priority %d, that was %s: %s", r.Flow, r.Priority, strings.ReplaceAll(r.State, "_", " "), r.ID))
	}
	for i := range left {
		part.Left = append(part.Left, requestOf(&left[i], v.Now))
	}
	return part, err
}

// evict ends a request, wherever its connection is.
func (s *Server) evict(ctx context.Context, a *action) (any, error) {
	parts, fleet, err := gather[evictPart](ctx, s, false, question{Ask: askEvict, ID: a.id, From: a.from, Unique: rand.Text()})
	if err != nil {
		return nil, err
	}
	answer := &api.Evicted{Fleet: fleet, Requests: []api.Request{}}
	left, played := 0, 0
	for i := range parts {
		answer.Requests = append(answer.Requests, parts[i].part.Ended...)
		left += len(parts[i].part.Left)
		played += parts[i].part.Played
	}
	switch {
	case len(answer.Requests) > 0:
		return answer, nil
	case played > 0:
		return nil, saying(errConflict, "flow control is only played (weir.shadow), and request %q went at once; nothing here can end it", a.id)
	case left > 0:
		return nil, saying(errConflict, "request %q is in flight, and its priority is not below 0", a.id)
	case len(fleet.Missing) > 0:
		return nil, fmt.Errorf("request %q: %w", a.id, errIncomplete)
	}
	return nil, saying(errNotFound, "no replica has a request %q: it was answered, or never came", a.id)
}
