package metrics

import "github.com/prometheus/client_golang/prometheus"

// description is of a metric that is read at each scrape, without the prefix of its name.
type description struct {
	name, help string
	labels     []string
}

// describe returns the descriptions of metrics by their names.
func describe(constant prometheus.Labels, all []description) map[string]*prometheus.Desc {
	described := make(map[string]*prometheus.Desc, len(all))
	for _, d := range all {
		described[d.name] = prometheus.NewDesc("weir_"+d.name, d.help, d.labels, constant)
	}
	return described
}

// ofPool describes what is read of a pool.
var ofPool = []description{
	{"flow_control_queue_size", "Requests waiting in the queues of this replica, by whichever replica they came in.", []string{"fairness_id", "priority"}},
	{"flow_control_queue_bytes", "Bytes of the requests waiting in the queues of this replica.", []string{"fairness_id", "priority"}},
	{"flow_control_pool_saturation", "How full the pool is; 1 is full.", nil},
	{"flow_control_stage_saturation", "How full the endpoints are that read prompts (prefill) or make answers (decode), where some do one alone; 1 is full.", []string{"stage"}},
	{"flow_control_stale_endpoints", "Endpoints that count as full because the last reading of their metrics is too old.", nil},
	{"flow_control_revocations_issued_total", "Requests in flight at this replica that were revoked for a higher priority.", nil},
	{"flow_control_pending_reclaim", "Revoked requests that are still in flight at this replica.", nil},
	{"flow_control_fairness_lag", "How far the waiting flow that was served least is behind the virtual time of its group, or of its band, in the unit of its fairness policy.", []string{"priority"}},
	{"flow_control_pick_failures_total", "Times that a fairness policy failed to choose; the band's requests wait meanwhile.", nil},
	{"flow_control_capacity_utilization_requests", "How full the band's buffer is with requests, over the fleet; 1 is full.", []string{"priority"}},
	{"flow_control_capacity_utilization_bytes", "How full the band's buffer is with bytes, over the fleet; 1 is full.", []string{"priority"}},
	{"flow_control_global_capacity_utilization_requests", "How full the buffer of all bands is with requests, over the fleet; 0 without a cap.", nil},
	{"flow_control_global_capacity_utilization_bytes", "How full the buffer of all bands is with bytes, over the fleet; 0 without a cap.", nil},
	{"flow_control_guaranteed_slots", "Slots of the pool that a priority or a group is guaranteed while its requests wait, over the fleet.", []string{"priority", "group"}},
	{"flow_control_guarantee_owed_slot_seconds", "What a priority or a group should have had of its guarantee and did not, in slots times seconds, over the fleet; below 0 what it had too early.", []string{"priority", "group"}},
	{"flow_control_guarantee_slot_seconds_total", "What a priority or a group with a guarantee had of the pool, in slots times seconds, over the fleet.", []string{"priority", "group"}},
	{"flow_control_below_guarantee_seconds_total", "For how long requests of a priority or a group waited while it was owed its guarantee for more than 10 s, over the fleet.", []string{"priority", "group"}},
	{"flow_control_in_flight", "Requests in flight over the fleet, by the last reply of the ledger.", nil},
	{"flow_control_limit", "Requests that may be in flight over the fleet.", nil},
	{"ledger_state", "1 for the state of this replica's connection to the ledger, 0 for all others.", []string{"state"}},
	{"ledger_members", "Replicas that hold a lease in the ledger.", nil},
	{"ledger_lost_replicas", "Replicas whose leases ended without a sign that their requests did, as when a machine freezes.", nil},
	{"ledger_lost_in_flight", "Requests in flight that count still for replicas whose leases ended.", nil},
	{"ledger_turns_total", "Turns with the ledger.", nil},
	{"ledger_grants_total", "Requests that the ledger let this replica dispatch.", nil},
	{"ledger_float_dispatches_total", "Requests of this replica that were dispatched by float, without a question to the ledger.", nil},
	{"ledger_float", "Further requests that this replica may dispatch without a question to the ledger.", nil},
	{"ledger_line_dispatches_total", "Requests of this replica that were dispatched from the line, in the slot of another that ended here.", nil},
	{"ledger_line", "Waiting requests of this replica that stand in line: next in order, for slots that end here.", nil},
	{"fleet_members", "Replicas that are alive by gossip, this one included.", nil},
	{"fleet_reachable", "Other replicas whose ticket streams to this one work.", nil},
	{"fleet_shards_owned", "Shards of flows that this replica owns.", nil},
	{"fleet_tickets_forwarded_total", "Waiting requests that this replica queued at another one, the owner of their flow.", nil},
	{"fleet_tickets_held", "Waiting requests of other replicas in the queues of this one.", nil},
	{"fleet_shard_moves_total", "Changes of the map of shards to replicas.", nil},
	{"requests_in_flight", "Requests in flight that came in by this replica, by their flow.", []string{"fairness_id", "priority"}},
	{"endpoints", "Endpoints that can be used.", nil},
	{"endpoint_in_flight", "Requests of this replica at each endpoint.", []string{"endpoint"}},
	{"endpoint_healthy", "1 for an endpoint that can be used, 0 for one that is ejected.", []string{"endpoint"}},
	{"endpoint_scrapes_total", "Readings of endpoints' own metrics that this replica took.", nil},
	{"fleet_tickets_moved_total", "Waiting requests that moved to another replica when the shard map changed.", nil},
}
