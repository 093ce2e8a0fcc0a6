package admin

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/gateway/overrides"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// Config is what a Server tells of.
type Config struct {
	// Replica is this replica's id, Pool the pool's name, Version the build's.
	Replica, Pool, Version string
	// Gateway has the pool, with its controller, at this replica.
	Gateway *gateway.Pool
	// Traffic is what went through the controller of late.
	Traffic *traffic.Log
	// Fleet asks the other replicas; nil for a replica without any.
	Fleet coordinator.Questions
	// Configuration returns the effective one.
	Configuration func() Configuration
	// Overrides are what operators set for a time; nil where nothing can be.
	Overrides *overrides.Table
	// Meter counts what flows use here, and Ledger keeps what all replicas counted; nil where
	// nothing is kept.
	Meter  *metering.Meter
	Ledger store.Metering
	// Pickers choose endpoints for this replica; nil where it does so itself.
	Pickers *picker.Pickers
	// Guarded says that nobody gets here without the admin token: otherwise nothing can be
	// changed.
	Guarded bool
	// Logger gets who changed what; nothing by default.
	Logger *zap.Logger
	// Patience is how long the others' answers are waited for; 200 ms by default.
	Patience time.Duration

	directory *Directory // of all pools; nil for this one alone
}

// Configuration is a replica's effective one.
type Configuration struct {
	// YAML is for people to read, without secrets, Files are those that it is read from,
	// Loaded is when, and Fingerprint is that of what should be the same at all replicas.
	YAML        string
	Files       []string
	Loaded      time.Time
	Fingerprint string
	// Refused is a later one that could not be taken over; nil for none.
	Refused *api.RefusedConfig
	// Weight and Limit are those of flows; nil for 1, and for none.
	Weight func(policies.FlowKey) float64
	// FleetPart is the part of a flow's weight, and of its groups', that counts in this pool, from
	// 0 to 1, by its id; nil for all of it.
	FleetPart func(id string) float64
	// Guaranteed is what the priorities that are listed are guaranteed of the pool, from 0 to 1.
	Guaranteed map[int]float64
	// BandWeight is by what a priority shares the pool with others, 0 where it goes by its place; nil
	// for 0.
	BandWeight func(priority int) float64
	// Groups are those that a flow is in, by its id; nil for none. GroupNames are those that
	// there are, by their paths.
	Groups     func(id string) []shard.Group
	GroupNames []string
	// Maxima are what groups may have of the pool at most, by their paths.
	Maxima map[string]shard.Maximum
	// GuaranteedGroups are what groups are guaranteed of the pool, by their paths, from 0 to 1.
	GuaranteedGroups map[string]float64
	Limit            func(id string) shard.Limit
}

// Server is the handler of the API and the console.
type Server struct {
	cfg     Config
	started time.Time
	mux     *http.ServeMux
	shared  shared
	history history
	held    heldHere
	had     had
	events  events
	stop    context.CancelFunc
	stopped chan struct{}
}

// New returns a server that watches what happens from now on, until Close.
func New(cfg Config) *Server {
	if cfg.Patience <= 0 {
		cfg.Patience = 200 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Configuration == nil {
		cfg.Configuration = func() Configuration { return Configuration{} }
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{cfg: cfg, started: time.Now(), mux: http.NewServeMux(), stop: cancel, stopped: make(chan struct{})}
	s.held.meter = cfg.Gateway.Meter()
	for _, r := range s.routes() {
		s.mux.HandleFunc(r.method()+" "+r.pattern(), func(w http.ResponseWriter, q *http.Request) { r.answer(w, q, r.parameters) })
	}
	s.mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if allowed := s.allowed(r); len(allowed) > 0 && r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			fail(w, http.StatusMethodNotAllowed, fmt.Errorf("%s is not answered here; what is: %s", r.Method, strings.Join(allowed, ", ")))
			return
		}
		fail(w, http.StatusNotFound, fmt.Errorf("there is no %s; /v1/ lists what there is", r.URL.Path))
	})
	serveConsole(s.mux)
	if cfg.Fleet != nil && cfg.directory == nil {
		cfg.Fleet.AnswerWith(s.reply)
	}
	go s.watch(ctx) // ends with Close
	return s
}

// Close ends the server's goroutine.
func (s *Server) Close() {
	s.stop()
	<-s.stopped
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// allowed are the methods that a request's path is answered with.
func (s *Server) allowed(r *http.Request) (methods []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); strings.HasPrefix(pattern, method+" /v1/") {
			methods = append(methods, method)
		}
	}
	return methods
}

// route is one path of the API.
type route struct {
	path, summary string
	parameters    []string
	answer        func(w http.ResponseWriter, r *http.Request, parameters []string)
	// of is a value of the type that it answers with; nil for whatever.
	of any
	// acts is the method of a path that changes something, and takes a value of the type of
	// its body; nil for none.
	acts  string
	takes any
}

func (r *route) method() string { return cmp.Or(r.acts, http.MethodGet) }

// pattern is the path as a pattern that matches it alone.
func (r *route) pattern() string {
	if strings.HasSuffix(r.path, "/") {
		return r.path + "{$}"
	}
	return r.path
}

// The parameters of lists.
var (
	paged           = []string{"scope", "limit", "offset"}
	eventParameters = append([]string{"kind"}, paged...)
)

// routes are the paths of the API, each of which takes the name of the pool, too.
func (s *Server) routes() []route {
	all := append(s.looks(), s.actions()...)
	for i := range all {
		all[i].parameters = append(slices.Clip(all[i].parameters), "pool")
	}
	return all
}

// looks are the paths that change nothing.
func (s *Server) looks() []route {
	look := func(path, summary string, parameters []string, answer func(http.ResponseWriter, *http.Request, []string), of any) route {
		return route{path: path, summary: summary, parameters: parameters, answer: answer, of: of}
	}
	return []route{
		look("/v1/", "What there is.", nil, s.index, api.Index{}),
		look("/v1/openapi.json", "This API as an OpenAPI document.", nil, serveOpenAPI, nil),
		look("/v1/pools", "The pools of this replica, and what it knows of each.", nil, answering(s.pools), api.Pools{}),
		look("/v1/pool", "The pool: its limit, what is in flight and waits, and how the replicas stand with the ledger.", []string{"scope"}, answering(s.pool), api.Pool{}),
		look("/v1/shares", "What each priority and each group should have of the pool now, is guaranteed of it, and had in the last hour.", []string{"scope"}, answering(s.shares), api.Shares{}),
		look("/v1/flows", "The flows: what each has in flight, waits for and gets.", append([]string{"flow", "group", "priority", "state", "sort"}, paged...), answering(s.flows), api.Flows{}),
		look("/v1/shadow", "What flow control would have done, or would do, while it is only played beside what runs.", append([]string{"flow", "priority"}, paged...), answering(s.shadow), api.Shadow{}),
		look("/v1/requests", "The requests that wait or are in flight.", append([]string{"flow", "priority", "state"}, paged...), answering(s.requests), api.Requests{}),
		look("/v1/requests/{id}", "A request, and why it waits.", nil, answering(s.request), api.RequestDetail{}),
		look("/v1/endpoints", "The model servers, their load and their health.", paged, answering(s.endpoints), api.Endpoints{}),
		look("/v1/pickers", "The other Endpoint Pickers that choose endpoints, and how each replica finds them; empty where there is none.", paged, answering(s.pickers), api.Pickers{}),
		look("/v1/replicas", "The replicas of the fleet.", paged, answering(s.replicas), api.Replicas{}),
		look("/v1/shards", "Which replica queues the flows of which shard.", []string{"scope"}, answering(s.shards), api.Shards{}),
		look("/v1/config", "The effective configuration of this replica, and the others' fingerprints.", []string{"scope"}, answering(s.config), api.Config{}),
		look("/v1/events", "What happened of late, the latest first.", eventParameters, answering(s.eventList), api.Events{}),
		look("/v1/usage", "What flows and groups used, by the hour, of the last 35 days.", []string{"by", "flow", "group", "from", "to", "limit", "offset"}, answering(s.usage), api.UsageList{}),
		look("/v1/overrides", "What operators set for a time: flows' weights and limits, and drained endpoints.", []string{"scope"}, answering(s.overrides), api.Overrides{}),
		look("/v1/history", "The last 15 minutes of the fleet, as this replica has kept them.", []string{"since"}, answering(s.historyOf), api.History{}),
	}
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request, _ []string) {
	i := api.Index{Version: s.cfg.Version, Replica: s.cfg.Replica}
	for _, r := range s.routes() {
		i.Paths = append(i.Paths, api.IndexPath{Method: r.method(), Path: r.path, Summary: r.summary})
	}
	answer(w, i)
}

//go:embed openapi.json
var openAPI []byte

func serveOpenAPI(w http.ResponseWriter, _ *http.Request, _ []string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the client may be gone
}

// The kinds of errors that have a status of their own. They are told in the words of what
// happened; see saying.
var (
	// errNotFound says that there is nothing of the name that was asked for.
	errNotFound = errors.New("not found")
	// errQuery says that what was asked for does not go together.
	errQuery = errors.New("a query that has no answer")
	// errConflict says that something cannot be done as things are.
	errConflict = errors.New("this cannot be done")
)

// said is an error of a kind, in words that need none of the kind's.
type said struct {
	kind error
	text string
}

func (e *said) Error() string { return e.text }
func (e *said) Unwrap() error { return e.kind }

// saying returns an error of a kind in words of its own.
func saying(kind error, format string, args ...any) error {
	return &said{kind, fmt.Sprintf(format, args...)}
}

// answering answers a request with what the function returns for it.
func answering[T any](of func(context.Context, *query) (T, error)) func(http.ResponseWriter, *http.Request, []string) {
	return func(w http.ResponseWriter, r *http.Request, parameters []string) {
		q, err := parse(r, parameters)
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		v, err := of(r.Context(), q)
		respond(w, v, err)
	}
}

// respond answers with a value, or with what is wrong.
func respond(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, errNotFound):
		fail(w, http.StatusNotFound, err)
	case errors.Is(err, errQuery), errors.Is(err, overrides.ErrInvalid):
		fail(w, http.StatusBadRequest, err)
	case errors.Is(err, errConflict), errors.Is(err, store.ErrOverrides):
		fail(w, http.StatusConflict, err)
	case errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusGatewayTimeout, fmt.Errorf("the answer did not come in time: %w", err))
	case err != nil:
		fail(w, http.StatusServiceUnavailable, err)
	default:
		answer(w, v)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Error{Message: err.Error()}) // the client may be gone
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client may be gone
}
