package endpoints

import (
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/policies"
)

// Endpoint is one model server. It implements policies.EndpointAccessor, and is safe
// for concurrent use.
type Endpoint struct {
	spec    atomic.Pointer[Spec]
	address string
	pool    *Pool
	gone    chan struct{} // closed when the source no longer lists it

	own     *load
	health  health
	reading atomic.Pointer[policies.EndpointMetrics] // the last one, by whichever replica

	// Of the scraper. Times are nanoseconds since the pool began.
	held     atomic.Int64 // until when the reading was known to hold: nothing went on
	tried    atomic.Int64 // when this replica last began to read it
	heard    atomic.Int64 // when another replica's reading last came, or the endpoint joined
	scraping atomic.Bool  // it is being read
	misses   atomic.Int32 // how often in a row it could not be
	failed   string       // why; only for who scrapes
}

// load is what this replica has at an address, also while the source does not list it.
type load struct{ inFlight, tokens atomic.Int64 }

// Address implements policies.EndpointAccessor.
func (e *Endpoint) Address() string { return e.address }

// URL has the endpoint's scheme, host and port.
func (e *Endpoint) URL() *url.URL { return e.spec.Load().URL }

// Name is the name its source gives it, its address by default.
func (e *Endpoint) Name() string {
	if name := e.spec.Load().Name; name != "" {
		return name
	}
	return e.address
}

// Drained reports whether an operator has nothing more sent there.
func (e *Endpoint) Drained() bool { return (*e.pool.drained.Load())[e.address] }

// usable reports whether requests may be sent there.
func (e *Endpoint) usable() bool { return e.health.usable() && !e.Drained() }

// Labels implements policies.Labelled: its source's.
func (e *Endpoint) Labels() map[string]string { return e.spec.Load().Labels }

// InFlight implements policies.EndpointAccessor.
func (e *Endpoint) InFlight() int {
	return int(e.own.inFlight.Load() + e.pool.cfg.Others()[e.address].InFlight)
}

// InFlightTokens implements policies.EndpointAccessor.
func (e *Endpoint) InFlightTokens() int64 {
	return e.own.tokens.Load() + e.pool.cfg.Others()[e.address].Tokens
}

// Metrics implements policies.EndpointAccessor. A reading that was taken while nothing went
// on counts as taken now, until the next is due.
func (e *Endpoint) Metrics() policies.EndpointMetrics {
	last := e.reading.Load()
	if last == nil {
		return policies.EndpointMetrics{}
	}
	m := *last
	if held := e.pool.time(&e.held); held.After(m.ReadAt) {
		m.ReadAt = held
	}
	return m
}

// take uses a reading if it is newer than the last, and reports whether it tells more than
// that the endpoint is at rest as before.
func (e *Endpoint) take(m *policies.EndpointMetrics) (news bool) {
	for {
		last := e.reading.Load()
		if last != nil && !m.ReadAt.After(last.ReadAt) {
			return false
		}
		if e.reading.CompareAndSwap(last, m) {
			return last == nil || m.Running+m.Waiting+last.Running+last.Waiting > 0 || m.KVCacheUsage != last.KVCacheUsage ||
				!slices.Equal(m.LoadedModels, last.LoadedModels)
		}
	}
}

// resting reports whether nothing goes on at the endpoint, as far as is known here.
func (e *Endpoint) resting() bool {
	m := e.reading.Load()
	return m != nil && m.Running == 0 && m.Waiting == 0 && e.misses.Load() == 0 && e.InFlight() == 0
}

// holds notes that the reading holds.
func (e *Endpoint) holds(now time.Time) { e.held.Store(e.pool.since(now)) }

// unread forgets what was read.
func (e *Endpoint) unread() {
	e.reading.Store(nil)
	e.misses.Store(0)
	e.failed = ""
}

// lastRead is when it was last read, by any replica; lastTried when this one last began to;
// lastHeard when another's reading came, or the endpoint joined.
func (e *Endpoint) lastRead() time.Time {
	if m := e.reading.Load(); m != nil {
		return m.ReadAt
	}
	return time.Time{}
}

func (e *Endpoint) lastTried() time.Time { return e.pool.time(&e.tried) }

func (e *Endpoint) lastHeard() time.Time { return e.pool.time(&e.heard) }

// metricsURL is where its own metrics are.
func (e *Endpoint) metricsURL() string { return e.pool.cfg.MetricsAt.of(e.spec.Load()) }

// Status is an endpoint as an operator sees it.
type Status struct {
	Name    string            `json:"name"`
	URL     string            `json:"url"`
	Labels  map[string]string `json:"labels,omitempty"`
	Healthy bool              `json:"healthy"`
	// Drained says that an operator has nothing more sent there.
	Drained bool `json:"drained,omitempty"`
	// InFlight is the fleet's, InFlightHere this replica's.
	InFlight     int `json:"in_flight"`
	InFlightHere int `json:"in_flight_here"`
	// Running, Waiting and KVCacheUsage are the endpoint's own figures, read the
	// following number of milliseconds ago; null if they are not read.
	Running      *int     `json:"running,omitempty"`
	Waiting      *int     `json:"waiting,omitempty"`
	KVCacheUsage *float64 `json:"kv_cache_usage,omitempty"`
	AgeMS        *int64   `json:"age_ms,omitempty"`
}

// Status returns what there is to see.
func (e *Endpoint) Status() Status {
	s := Status{
		Name: e.Name(), URL: e.URL().String(), Labels: e.spec.Load().Labels, Healthy: e.health.usable(), Drained: e.Drained(),
		InFlight: e.InFlight(), InFlightHere: int(e.own.inFlight.Load()),
	}
	if m := e.reading.Load(); m != nil {
		age := time.Since(m.ReadAt).Milliseconds()
		s.Running, s.Waiting, s.KVCacheUsage, s.AgeMS = &m.Running, &m.Waiting, &m.KVCacheUsage, &age
	}
	return s
}

// Unreachable notes that a connection to the endpoint failed.
func (e *Endpoint) Unreachable(cause error) { e.pool.unreachable(e, cause) }

// Slot is a request's place at an endpoint, until Return.
type Slot struct {
	*Endpoint
	cost   int64
	staged []Staged
	back   atomic.Bool
}

// Staged are the slots of what is done elsewhere before the endpoint answers, in order. They
// are to be returned by themselves.
func (s *Slot) Staged() []Staged { return s.staged }

// Claim takes a slot for a request that is expected to cost so many tokens, and that
// something else than Take sends there.
func (e *Endpoint) Claim(tokens int64) *Slot { return e.slot(tokens) }

func (e *Endpoint) slot(tokens int64) *Slot {
	if e.own.inFlight.Add(1) == 1 {
		e.pool.awake(e)
	}
	e.own.tokens.Add(tokens)
	return &Slot{Endpoint: e, cost: tokens}
}

// Move returns the slot and takes one at another endpoint, where the request went in
// the end.
func (s *Slot) Move(to *Endpoint) *Slot {
	s.Return()
	return to.slot(s.cost)
}

// Answered notes that the endpoint began to answer.
func (s *Slot) Answered() { s.pool.reachable(s.Endpoint) }

// Unreachable notes that a connection to the endpoint failed, and returns the slot.
func (s *Slot) Unreachable(cause error) {
	s.Return()
	s.Endpoint.Unreachable(cause)
}

// Return returns the slot. Only the first call has an effect.
func (s *Slot) Return() {
	if s.back.CompareAndSwap(false, true) {
		s.own.inFlight.Add(-1)
		s.own.tokens.Add(-s.cost)
	}
}
