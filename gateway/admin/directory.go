package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/gateway/admin/api"
)

// Directory is the handler of the API and the console of all pools of a replica, each of
// which has a Server: the parameter pool says which one is asked. Pools may come and go. It is
// safe for concurrent use.
type Directory struct {
	replica string
	several bool
	fleet   coordinator.Questions // nil for a replica without others
	own     *http.ServeMux        // what is the replica's, and needs no pool
	events  events                // those of all pools

	mu      sync.RWMutex
	servers map[string]*Server
	leftOut []api.LeftOut
}

// NewDirectory returns a replica's directory, without pools. Where it has one pool that need not be
// named, unless the replica is one for several and something is to be changed: which pool is the
// only one may be another from one moment to the next.
func NewDirectory(replica string, several bool, fleet coordinator.Questions) *Directory {
	d := &Directory{replica: replica, several: several, fleet: fleet, servers: make(map[string]*Server), own: http.NewServeMux()}
	serveConsole(d.own)
	look := func(path string, parameters []string, answer func(http.ResponseWriter, *http.Request, []string)) {
		parameters = slices.Concat(parameters, []string{"pool"})
		d.own.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { answer(w, r, parameters) })
	}
	look("/v1/openapi.json", nil, serveOpenAPI)
	look("/v1/pools", nil, answering(func(ctx context.Context, _ *query) (*api.Pools, error) { return d.pools(ctx), nil }))
	look("/v1/events", eventParameters, answering(d.eventList))
	if fleet != nil {
		fleet.AnswerWith(d.reply)
	}
	return d
}

// Add begins to tell of a pool.
func (d *Directory) Add(cfg Config) *Server {
	cfg.Fleet, cfg.directory = d.fleet, d
	s := New(cfg)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.servers[cfg.Pool] = s
	return s
}

// Remove ends the server of a pool that is gone.
func (d *Directory) Remove(s *Server) {
	d.mu.Lock()
	if d.servers[s.cfg.Pool] == s {
		delete(d.servers, s.cfg.Pool)
	}
	d.mu.Unlock()
	s.Close()
}

// Note notes an event of all pools, and of those that come later.
func (d *Directory) Note(kind, severity, subject, text string) {
	d.events.add(newEvent(d.replica, kind, severity, subject, text))
}

// eventList lists what this replica saw that is no pool's.
func (d *Directory) eventList(_ context.Context, q *query) (*api.Events, error) {
	parts := []partOf[[]api.Event]{{d.replica, d.events.all()}}
	return eventPage(parts, api.Fleet{Replica: d.replica, Answered: []string{d.replica}, Missing: []api.Missing{}}, q), nil
}

// all are the servers, by their pools' names.
func (d *Directory) all() []*Server {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]*Server, 0, len(d.servers))
	for _, name := range slices.Sorted(maps.Keys(d.servers)) {
		all = append(all, d.servers[name])
	}
	return all
}

// LeaveOut tells what was found and cannot be a pool, in place of what was told before.
func (d *Directory) LeaveOut(all []api.LeftOut) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leftOut = all
}

var (
	// errWhich says that a question names no pool where there are several.
	errWhich = errors.New("which pool is meant? Add pool=NAME, or --pool NAME to a command")
	// errNoPools says that no pool is open.
	errNoPools = saying(errNotFound, "there are no pools yet")
)

// of is the server of the pool; an empty name is that of the only one, unless what acts on it must
// name it.
func (d *Directory) of(name string, acts bool) (*Server, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if s := d.servers[name]; s != nil {
		return s, nil
	}
	if len(d.servers) == 0 {
		return nil, errNoPools
	}
	names := strings.Join(slices.Sorted(maps.Keys(d.servers)), ", ")
	switch {
	case name != "":
		return nil, saying(errNotFound, "there is no pool %q; there are: %s", name, names)
	case len(d.servers) == 1 && !(acts && d.several):
		for _, s := range d.servers {
			return s, nil
		}
	}
	return nil, fmt.Errorf("%w; there are: %s", errWhich, names)
}

// ServeHTTP implements http.Handler.
func (d *Directory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	looks := r.Method == http.MethodGet || r.Method == http.MethodHead
	s, err := d.of(r.URL.Query().Get("pool"), !looks)
	if looks && r.URL.Path == "/v1/" && errors.Is(err, errWhich) {
		if all := d.all(); len(all) > 0 { // they all answer the same
			s, err = all[0], nil
		}
	}
	switch {
	case isOwn(r.URL.Path, looks, err):
		d.own.ServeHTTP(w, r)
	case err == nil:
		s.ServeHTTP(w, r)
	case errors.Is(err, errNotFound):
		fail(w, http.StatusNotFound, err)
	default:
		fail(w, http.StatusBadRequest, err)
	}
}

// isOwn reports whether a request for a path, which looks at something or changes it, needs no
// pool, given what is wrong with the one that it is for.
func isOwn(path string, looks bool, wrong error) bool {
	switch path {
	case "/v1/pools", "/v1/openapi.json":
		return looks
	case "/v1/events":
		return looks && errors.Is(wrong, errNoPools) // those of a pool have them among its own
	}
	return !strings.HasPrefix(path, "/v1/")
}

// reply answers another replica's question.
func (d *Directory) reply(ctx context.Context, text []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, fmt.Errorf("read a question: %w", err)
	}
	s, err := d.of(q.Pool, q.Ask == askEvict)
	if err != nil {
		return nil, err
	}
	return s.reply(ctx, text)
}

// pools lists the one pool, where there is no directory.
func (s *Server) pools(ctx context.Context, _ *query) (*api.Pools, error) {
	return &api.Pools{Replica: s.cfg.Replica, Pools: summaries(ctx, []*Server{s})}, nil
}

// pools lists the pools of this replica, with what it knows of each itself.
func (d *Directory) pools(ctx context.Context) *api.Pools {
	d.mu.RLock()
	left := d.leftOut
	d.mu.RUnlock()
	return &api.Pools{Replica: d.replica, Pools: summaries(ctx, d.all()), LeftOut: left}
}

func summaries(ctx context.Context, servers []*Server) []api.PoolSummary {
	all := []api.PoolSummary{}
	for _, s := range servers {
		p, err := s.pool(ctx, &query{replica: true})
		if err != nil {
			continue // it is just ending
		}
		all = append(all, api.PoolSummary{
			Name: p.Pool, Limit: p.Limit, InFlight: p.InFlight, Queued: p.Queued, Saturation: p.Saturation, Endpoints: p.Endpoints, LedgerState: p.Ledger.State,
		})
	}
	return all
}
