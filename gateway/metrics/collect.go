package metrics

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// fairnessLag is, for each band, the largest distance of a waiting flow behind the virtual
// time of its group, or of the band where it is in none. It stays within what a few requests
// cost.
func fairnessLag(v *core.View) map[int]float64 {
	lags := make(map[int]float64)
	for i := range v.Bands {
		lags[v.Bands[i].Priority] = 0
	}
	for i := range v.Flows {
		f, priority := &v.Flows[i], v.Flows[i].Key.Priority
		if _, ok := lags[priority]; ok && f.Requests > 0 && f.Counter > 0 {
			lags[priority] = max(lags[priority], f.VirtualTime-f.Counter)
		}
	}
	return lags
}

// sendShares reports what priorities and groups are guaranteed, and what they have had of it.
// Groups have no priority, and priorities no group.
func sendShares(send sender, v *core.View) {
	share := func(account *store.Guarantee, class ...string) {
		if account.Slots == 0 {
			return
		}
		send("flow_control_guaranteed_slots", prometheus.GaugeValue, account.Slots, class...)
		send("flow_control_guarantee_owed_slot_seconds", prometheus.GaugeValue, account.Owed, class...)
		send("flow_control_guarantee_slot_seconds_total", prometheus.CounterValue, account.Got, class...)
		send("flow_control_below_guarantee_seconds_total", prometheus.CounterValue, account.Below, class...)
	}
	for i := range v.Bands {
		share(&v.Bands[i].Share, strconv.Itoa(v.Bands[i].Priority), "")
	}
	for i := range v.Groups {
		share(&v.Groups[i].Share, "", v.Groups[i].Path)
	}
}

// sendInFlight reports the requests in flight of each flow.
func (m *Pool) sendInFlight(send sender) {
	if m.table == nil {
		return
	}
	byLabel := make(map[policies.FlowKey]int64)
	m.table.Each(func(key policies.FlowKey, f flows.Figures) {
		if f.InFlight > 0 {
			byLabel[policies.FlowKey{ID: m.FlowLabel(key.ID), Priority: key.Priority}] += f.InFlight
		}
	})
	for key, n := range byLabel {
		send("requests_in_flight", prometheus.GaugeValue, float64(n), key.ID, strconv.Itoa(key.Priority))
	}
}

// Describe implements prometheus.Collector.
func (m *Pool) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	for _, d := range m.described {
		ch <- d
	}
}

func (m *Pool) collectors() []prometheus.Collector {
	all := append(m.answers.collectors(), m.requests.collectors()...)
	return append(all, m.outcomes, m.waits, m.turns, m.failures, m.revocations, m.fallbacks, m.unknown, m.fresh)
}

// sender reports the value of a metric.
type sender func(name string, typ prometheus.ValueType, value float64, labels ...string)

// Collect implements prometheus.Collector.
func (m *Pool) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	send := func(name string, typ prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.described[name], typ, value, labels...)
	}
	m.sendInFlight(send)
	if m.controller == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	v, err := m.controller.View(ctx)
	if err != nil {
		return // it is closed: there is nothing to report
	}
	sendBands(send, &v)
	sendShares(send, &v)
	m.sendQueues(send, &v)
	sendPool(send, &v)
	turns, grants := m.controller.Turns()
	send("ledger_turns_total", prometheus.CounterValue, float64(turns))
	send("ledger_grants_total", prometheus.CounterValue, float64(grants))
	sendLedger(send, &v)
	sendFleet(send, &v)
	m.sendEndpoints(send)
}

// sendBands reports how full the buffers of bands are, and how even their flows are served.
func sendBands(send sender, v *core.View) {
	for priority, lag := range fairnessLag(v) {
		send("flow_control_fairness_lag", prometheus.GaugeValue, lag, strconv.Itoa(priority))
	}
	for i := range v.Bands {
		b := &v.Bands[i]
		send("flow_control_capacity_utilization_requests", prometheus.GaugeValue, b.Fill.Requests, strconv.Itoa(b.Priority))
		send("flow_control_capacity_utilization_bytes", prometheus.GaugeValue, b.Fill.Bytes, strconv.Itoa(b.Priority))
	}
	send("flow_control_global_capacity_utilization_requests", prometheus.GaugeValue, v.Fill.Requests)
	send("flow_control_global_capacity_utilization_bytes", prometheus.GaugeValue, v.Fill.Bytes)
}

// sendQueues reports what waits in the queues of this replica.
func (m *Pool) sendQueues(send sender, v *core.View) {
	type queue struct{ requests, bytes int64 }
	queues := make(map[policies.FlowKey]queue)
	for _, f := range v.Flows {
		key := policies.FlowKey{ID: m.FlowLabel(f.Key.ID), Priority: f.Key.Priority}
		q := queues[key]
		queues[key] = queue{q.requests + f.Requests, q.bytes + f.Bytes}
	}
	for key, q := range queues {
		send("flow_control_queue_size", prometheus.GaugeValue, float64(q.requests), key.ID, strconv.Itoa(key.Priority))
		send("flow_control_queue_bytes", prometheus.GaugeValue, float64(q.bytes), key.ID, strconv.Itoa(key.Priority))
	}
}

// sendPool reports how full the pool is.
func sendPool(send sender, v *core.View) {
	send("flow_control_pool_saturation", prometheus.GaugeValue, v.Saturation())
	if stages := v.Pool.Stages; stages.Apart {
		send("flow_control_stage_saturation", prometheus.GaugeValue, stages.Prefill, string(policies.Prefill))
		send("flow_control_stage_saturation", prometheus.GaugeValue, stages.Decode, string(policies.Decode))
	}
	send("flow_control_stale_endpoints", prometheus.GaugeValue, float64(v.Pool.Stale))
	send("flow_control_revocations_issued_total", prometheus.CounterValue, float64(v.Tallies.Revoked))
	send("flow_control_pick_failures_total", prometheus.CounterValue, float64(v.FailedPicks))
	send("flow_control_pending_reclaim", prometheus.GaugeValue, float64(v.Revoking))
	send("flow_control_in_flight", prometheus.GaugeValue, float64(v.Totals.InFlight))
	send("flow_control_limit", prometheus.GaugeValue, float64(v.Pool.Limit))
	send("endpoints", prometheus.GaugeValue, float64(v.Pool.Endpoints))
}

// sendLedger reports how the connection to the ledger is, and what came by it.
func sendLedger(send sender, v *core.View) {
	for _, state := range []core.LedgerState{core.Registering, core.Connected, core.Slow, core.Outage, core.Superseded} {
		value := 0.0
		if state == v.Ledger {
			value = 1
		}
		send("ledger_state", prometheus.GaugeValue, value, string(state))
	}
	send("ledger_members", prometheus.GaugeValue, float64(v.Totals.Members))
	send("ledger_lost_replicas", prometheus.GaugeValue, float64(len(v.Lost)))
	send("ledger_lost_in_flight", prometheus.GaugeValue, float64(v.LostInFlight()))
	send("ledger_float_dispatches_total", prometheus.CounterValue, float64(v.Tallies.ByFloat))
	send("ledger_float", prometheus.GaugeValue, float64(v.Permits))
	send("ledger_line_dispatches_total", prometheus.CounterValue, float64(v.Tallies.FromLine))
	send("ledger_line", prometheus.GaugeValue, float64(v.InLine))
}

// sendFleet reports the other replicas, and the tickets that went between them and this one.
func sendFleet(send sender, v *core.View) {
	live, reachable, owned, held := 0.0, 0.0, 0.0, 0.0
	for _, p := range v.Peers {
		if p.Live {
			live++
		}
		if p.ID == v.Replica {
			owned = float64(v.Shards.Owned(p.ID))
			continue
		}
		if p.Reachable {
			reachable++
		}
		held += float64(p.TicketsHere)
	}
	send("fleet_members", prometheus.GaugeValue, live)
	send("fleet_reachable", prometheus.GaugeValue, reachable)
	send("fleet_shards_owned", prometheus.GaugeValue, owned)
	send("fleet_tickets_held", prometheus.GaugeValue, held)
	send("fleet_tickets_forwarded_total", prometheus.CounterValue, float64(v.Tallies.Forwarded))
	send("fleet_shard_moves_total", prometheus.CounterValue, float64(v.Tallies.Moves))
	send("fleet_tickets_moved_total", prometheus.CounterValue, float64(v.Tallies.Moved))
}

// sendEndpoints reports each endpoint.
func (m *Pool) sendEndpoints(send sender) {
	if m.endpoints == nil {
		return
	}
	send("endpoint_scrapes_total", prometheus.CounterValue, float64(m.endpoints.Scrapes()))
	for _, e := range m.endpoints.Endpoints() {
		s, healthy := e.Status(), 0.0
		if s.Healthy {
			healthy = 1
		}
		send("endpoint_in_flight", prometheus.GaugeValue, float64(s.InFlightHere), e.Address())
		send("endpoint_healthy", prometheus.GaugeValue, healthy, e.Address())
	}
}
