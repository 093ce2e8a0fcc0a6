package gateway

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/accesslog"
	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/policies"
)

// maxFlowLabels bounds the number of flow label values; flows past it share
// "other".
const maxFlowLabels = 1000

// otherFlow is the label of flows past maxFlowLabels.
const otherFlow = "other"

// Metrics is a replica's Prometheus metrics. It implements controller.Observer
// and prometheus.Collector; a nil Metrics counts nothing.
type Metrics struct {
	// Which it has: of the process, and of a pool.
	ofProcess, ofPool bool

	answers     *prometheus.CounterVec
	outcomes    *prometheus.CounterVec
	waits       *prometheus.HistogramVec
	turns       prometheus.Histogram
	failures    prometheus.Counter
	revocations *prometheus.CounterVec
	fallbacks   prometheus.Counter
	overBounds  *prometheus.CounterVec
	unknown     prometheus.Counter
	fresh       prometheus.Counter
	requests    *requestMetrics
	config      *configMetrics
	described   map[string]*prometheus.Desc

	mu     sync.Mutex
	flows  map[string]time.Time // those with a label of their own, and when they were last seen
	forgot time.Time
	cached sync.Map // decisionKey → decision

	watched *controller.Controller
	pool    *endpoints.Pool
	budget  *budget.Budget
	log     *accesslog.Log
	table   *flowTable
}

type decisionKey struct {
	flow    policies.FlowKey
	outcome controller.Outcome
}

// decision is the metrics one kind of decision goes to.
type decision struct {
	count prometheus.Counter
	wait  prometheus.Observer
}

// NewMetrics returns the metrics of a replica of one pool, which has the name.
func NewMetrics(pool string) *Metrics {
	m := newMetrics(pool)
	m.ofProcess, m.ofPool = true, true
	return m
}

// NewPoolMetrics returns those of one pool of a replica that has several.
func NewPoolMetrics(pool string) *Metrics {
	m := newMetrics(pool)
	m.ofPool = true
	return m
}

// NewProcessMetrics returns those that are no pool's, of a replica that has several: they
// count the requests that found none, too.
func NewProcessMetrics() *Metrics {
	m := newMetrics("")
	m.ofProcess = true
	return m
}

func newMetrics(pool string) *Metrics {
	constant := prometheus.Labels{"inference_pool": pool}
	m := &Metrics{
		flows:    make(map[string]time.Time),
		requests: newRequestMetrics(constant),
		config:   newConfigMetrics(constant),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_http_requests_total", ConstLabels: constant,
			Help: "HTTP requests answered, by status. 499 is a client that went away before its answer.",
		}, []string{"code"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_flow_control_requests_total", ConstLabels: constant,
			Help: "Requests whose wait in flow control ended, by outcome and priority.",
		}, []string{"outcome", "priority"}),
		waits: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_flow_control_request_queue_duration_seconds", ConstLabels: constant,
			Help:    "Time that requests waited in flow control, by outcome.",
			Buckets: []float64{.0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 30, 60},
		}, []string{"fairness_id", "priority", "outcome"}),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_ledger_turn_duration_seconds", ConstLabels: constant,
			Help:    "Duration of turns: exchanges of this replica with the ledger.",
			Buckets: []float64{.000005, .00002, .0001, .0003, .001, .003, .01, .05, .2, .5},
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_ledger_turn_failures_total", ConstLabels: constant, Help: "Turns with the ledger that failed.",
		}),
		revocations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_flow_control_revocations_total", ConstLabels: constant,
			Help: "Requests in flight that were revoked for a higher priority: refused (status 429 before the answer began) or cut_off (the answer broke off).",
		}, []string{"outcome"}),
		fallbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_endpoint_fallbacks_total", ConstLabels: constant,
			Help: "Requests served by a fallback endpoint instead of the first choice, as reported by Envoy.",
		}),
		overBounds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_requests_over_bound_total", ConstLabels: constant,
			Help: "Requests that this replica ended for a bound on what one may take, by bound.",
		}, []string{"bound"}),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_requests_undeclared_objective_total", ConstLabels: constant,
			Help: "Requests that named an objective which nobody declared.",
		}),
		fresh: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_flow_control_fresh_flows_total", ConstLabels: constant,
			Help: "Requests under an id that this replica had not seen, without a setting or an API key. Where these are many, see weir.newcomers.",
		}),
		described: make(map[string]*prometheus.Desc),
	}
	describe := func(name, help string, labels ...string) {
		m.described[name] = prometheus.NewDesc("weir_"+name, help, labels, constant)
	}
	describe("flow_control_queue_size", "Requests waiting in the queues of this replica, by whichever replica they came in.", "fairness_id", "priority")
	describe("flow_control_queue_bytes", "Bytes of the requests waiting in the queues of this replica.", "fairness_id", "priority")
	describe("flow_control_pool_saturation", "How full the pool is; 1 is full.")
	describe("flow_control_stage_saturation", "How full the endpoints are that read prompts (prefill) or make answers (decode), where some do one alone; 1 is full.", "stage")
	describe("flow_control_stale_endpoints", "Endpoints that count as full because the last reading of their metrics is too old.")
	describe("flow_control_revocations_issued_total", "Requests in flight at this replica that were revoked for a higher priority.")
	describe("flow_control_pending_reclaim", "Revoked requests that are still in flight at this replica.")
	describe("flow_control_fairness_lag", "How far the waiting flow that was served least is behind the virtual time of its group, or of its band, in the unit of its fairness policy.", "priority")
	describe("flow_control_pick_failures_total", "Times that a fairness policy failed to choose; the band's requests wait meanwhile.")
	describe("flow_control_capacity_utilization_requests", "How full the band's buffer is with requests, over the fleet; 1 is full.", "priority")
	describe("flow_control_capacity_utilization_bytes", "How full the band's buffer is with bytes, over the fleet; 1 is full.", "priority")
	describe("flow_control_global_capacity_utilization_requests", "How full the buffer of all bands is with requests, over the fleet; 0 without a cap.")
	describe("flow_control_global_capacity_utilization_bytes", "How full the buffer of all bands is with bytes, over the fleet; 0 without a cap.")
	describe("flow_control_guaranteed_slots", "Slots of the pool that a priority is guaranteed while its requests wait, over the fleet.", "priority")
	describe("flow_control_guarantee_owed_slot_seconds", "What a priority should have had of its guarantee and did not, in slots times seconds, over the fleet; below 0 what it had too early.", "priority")
	describe("flow_control_guarantee_slot_seconds_total", "What a priority with a guarantee had of the pool, in slots times seconds, over the fleet.", "priority")
	describe("flow_control_below_guarantee_seconds_total", "For how long a priority's requests waited while it was owed its guarantee for more than 10 s, over the fleet.", "priority")
	describe("flow_control_in_flight", "Requests in flight over the fleet, by the last reply of the ledger.")
	describe("flow_control_limit", "Requests that may be in flight over the fleet.")
	describe("ledger_state", "1 for the state of this replica's connection to the ledger, 0 for all others.", "state")
	describe("ledger_members", "Replicas that hold a lease in the ledger.")
	describe("ledger_lost_replicas", "Replicas whose leases ended without a sign that their requests did, as when a machine freezes.")
	describe("ledger_lost_in_flight", "Requests in flight that they count for still.")
	describe("ledger_turns_total", "Turns with the ledger.")
	describe("ledger_grants_total", "Requests that the ledger let this replica dispatch.")
	describe("ledger_float_dispatches_total", "The part of them that were dispatched by float, without a question.")
	describe("ledger_float", "Further requests that this replica may dispatch without a question.")
	describe("fleet_members", "Replicas that are alive by gossip, this one included.")
	describe("fleet_reachable", "Other replicas whose ticket streams to this one work.")
	describe("fleet_shards_owned", "Shards of flows that this replica owns.")
	describe("fleet_tickets_forwarded_total", "Waiting requests that this replica queued at another one, the owner of their flow.")
	describe("fleet_tickets_held", "Waiting requests of other replicas in the queues of this one.")
	describe("fleet_shard_moves_total", "Changes of the map of shards to replicas.")
	describe("access_log_lines_lost_total", "Lines of the request log that were not written, since its reader does not keep up.")
	describe("requests_in_flight", "Requests in flight that came in by this replica, by their flow.", "fairness_id", "priority")
	describe("memory_budget_bytes", "Memory that requests may take which are being read or wait at this replica.")
	describe("memory_budget_used_bytes", "The part of it that they take.")
	describe("endpoints", "Endpoints that can be used.")
	describe("endpoint_in_flight", "Requests of this replica at each endpoint.", "endpoint")
	describe("endpoint_healthy", "1 for an endpoint that can be used, 0 for one that is ejected.", "endpoint")
	describe("endpoint_scrapes_total", "Readings of endpoints' own metrics that this replica took.")
	describe("fleet_tickets_moved_total", "Waiting requests that moved to another replica when the shard map changed.")
	return m
}

// WatchEndpoints makes the metrics report the pool's endpoints at every scrape.
func (m *Metrics) WatchEndpoints(p *endpoints.Pool) { m.pool = p }

// Watch makes the metrics report the controller's state at every scrape.
func (m *Metrics) Watch(c *controller.Controller) { m.watched = c }

// revoked counts a request that was revoked, before or after its answer began.
func (m *Metrics) revoked(begun bool) {
	if m == nil {
		return
	}
	outcome := "refused"
	if begun {
		outcome = "cut_off"
	}
	m.revocations.WithLabelValues(outcome).Inc()
}

// fellBack counts a request that was answered by a fallback endpoint.
func (m *Metrics) fellBack() {
	if m != nil {
		m.fallbacks.Inc()
	}
}

// overBound counts a request that went beyond a bound.
func (m *Metrics) overBound(name string) {
	if m != nil {
		m.overBounds.WithLabelValues(name).Inc()
	}
}

// freshFlow counts a request of a flow that this replica had not seen.
func (m *Metrics) freshFlow() {
	if m != nil {
		m.fresh.Inc()
	}
}

// undeclared counts a request that named an objective which nobody declared.
func (m *Metrics) undeclared() {
	if m != nil {
		m.unknown.Inc()
	}
}

// Decided implements controller.Observer.
func (m *Metrics) Decided(flow policies.FlowKey, outcome controller.Outcome, waited time.Duration, trace string) {
	flow.ID = m.flowLabel(flow.ID)
	key := decisionKey{flow, outcome}
	d, ok := m.cached.Load(key)
	if !ok {
		priority := strconv.Itoa(flow.Priority)
		d, _ = m.cached.LoadOrStore(key, decision{
			count: m.outcomes.WithLabelValues(outcome.String(), priority),
			wait:  m.waits.WithLabelValues(flow.ID, priority, outcome.String()),
		})
	}
	d.(decision).count.Inc()
	observe(d.(decision).wait, waited.Seconds(), trace)
}

// TurnTaken implements controller.Observer.
func (m *Metrics) TurnTaken(took time.Duration, err error) {
	m.turns.Observe(took.Seconds())
	if err != nil {
		m.failures.Inc()
	}
}

// flowLabel bounds the flow label's values.
func (m *Metrics) flowLabel(id string) string {
	if m == nil {
		return otherFlow
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if _, known := m.flows[id]; !known && len(m.flows) >= maxFlowLabels {
		if m.forget(now); len(m.flows) >= maxFlowLabels {
			return otherFlow
		}
	}
	m.flows[id] = now
	return id
}

// labelIdle is how long a flow's series are kept at least after it was last seen,
// once there are too many.
const labelIdle = 10 * time.Minute

// forget drops the series of flows that were not seen for a while. The lock is held.
func (m *Metrics) forget(now time.Time) {
	if now.Sub(m.forgot) < time.Minute {
		return
	}
	m.forgot = now
	for id, seen := range m.flows {
		if now.Sub(seen) >= labelIdle {
			delete(m.flows, id)
			m.waits.DeletePartialMatch(prometheus.Labels{"fairness_id": id})
			m.requests.forget(id)
		}
	}
	m.cached.Range(func(key, _ any) bool {
		if id := key.(decisionKey).flow.ID; id != otherFlow {
			if _, known := m.flows[id]; !known {
				m.cached.Delete(key)
			}
		}
		return true
	})
}
