package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// Names says under which names metrics of flow control are exported.
type Names string

// The names there are. Metrics that llm-d's gateway does not have are always Weir's.
const (
	WeirNames Names = "weir"
	LLMDNames Names = "llm-d" // as llm-d's gateway has them, instead of Weir's
	BothNames Names = "both"
)

// flowControlNames are what llm-d's gateway calls Weir's metrics. Some have a second, older
// name, which autoscalers read.
var flowControlNames = map[string][]string{
	"weir_flow_control_request_queue_duration_seconds":       {"llm_d_epp_flow_control_request_queue_duration_seconds"},
	"weir_ledger_turn_duration_seconds":                      {"llm_d_epp_flow_control_dispatch_cycle_duration_seconds"},
	"weir_flow_control_queue_size":                           {"llm_d_epp_flow_control_queue_size", "inference_extension_flow_control_queue_size"},
	"weir_flow_control_queue_bytes":                          {"llm_d_epp_flow_control_queue_bytes", "inference_extension_flow_control_queue_bytes"},
	"weir_flow_control_pool_saturation":                      {"llm_d_epp_flow_control_pool_saturation"},
	"weir_flow_control_stale_endpoints":                      {"llm_d_epp_flow_control_stale_endpoints"},
	"weir_flow_control_capacity_utilization_requests":        {"llm_d_epp_flow_control_capacity_utilization_requests"},
	"weir_flow_control_capacity_utilization_bytes":           {"llm_d_epp_flow_control_capacity_utilization_bytes"},
	"weir_flow_control_global_capacity_utilization_requests": {"llm_d_epp_flow_control_global_capacity_utilization_requests"},
	"weir_flow_control_global_capacity_utilization_bytes":    {"llm_d_epp_flow_control_global_capacity_utilization_bytes"},
	"weir_flow_control_requests_total":                       {"llm_d_epp_flow_control_requests_total"},
	"weir_flow_control_revocations_issued_total":             {"llm_d_epp_flow_control_revocations_issued_total"},
	"weir_flow_control_revocations_total":                    {"llm_d_epp_flow_control_revocations_total"},
	"weir_flow_control_pending_reclaim":                      {"llm_d_epp_flow_control_pending_reclaim"},
}

// Named gathers metrics under other names. What dashboards and autoscalers of llm-d's
// gateway select by that Weir does not tell apart is the one value that they look for.
func Named(g prometheus.Gatherer, names Names) prometheus.Gatherer {
	if names != LLMDNames && names != BothNames {
		return g
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := g.Gather()
		var all, stages []*dto.MetricFamily
		for _, f := range families {
			if f.GetName() == "weir_flow_control_stage_saturation" {
				stages = append(stages, f)
			}
		}
		for _, f := range families {
			others, named := flowControlNames[f.GetName()]
			if !named || names == BothNames {
				all = append(all, f)
			}
			for _, name := range others {
				all = append(all, renamed(f, name, stages...))
			}
			if f.GetName() == "weir_flow_control_requests_total" {
				all = append(all, decisions(f))
			}
		}
		slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		if err != nil {
			return all, fmt.Errorf("gather metrics: %w", err)
		}
		return all, nil
	})
}

// renamed is a family under another name. The saturation has the stage that means all of
// them, and those of the stages beside it.
func renamed(f *dto.MetricFamily, name string, stages ...*dto.MetricFamily) *dto.MetricFamily {
	as := &dto.MetricFamily{Name: &name, Help: f.Help, Type: f.Type, Unit: f.Unit, Metric: f.GetMetric()}
	if !strings.HasSuffix(name, "_pool_saturation") {
		return as
	}
	as.Metric = nil
	for _, m := range f.GetMetric() {
		staged := proto.Clone(m).(*dto.Metric)
		staged.Label = append(staged.Label, &dto.LabelPair{Name: proto.String("stage"), Value: proto.String("effective")})
		as.Metric = append(as.Metric, staged)
	}
	for _, s := range stages {
		as.Metric = append(as.Metric, s.GetMetric()...)
	}
	return as
}

// decisions is the metric that autoscalers of older gateways scale by: requests that came to
// a decision, by whether they went to a model server.
func decisions(f *dto.MetricFamily) *dto.MetricFamily {
	counts, pool := make(map[string]float64), ""
	for _, m := range f.GetMetric() {
		status := "failure"
		for _, l := range m.GetLabel() {
			switch {
			case l.GetName() == "outcome" && l.GetValue() == "Dispatched":
				status = "success"
			case l.GetName() == "inference_pool":
				pool = l.GetValue()
			}
		}
		counts[status] += m.GetCounter().GetValue()
	}
	all := &dto.MetricFamily{
		Name: proto.String("inference_extension_scheduler_attempts_total"), Type: dto.MetricType_COUNTER.Enum(),
		Help: proto.String("Requests that flow control decided on, by whether they went to a model server."),
	}
	for _, status := range []string{"failure", "success"} {
		all.Metric = append(all.Metric, &dto.Metric{
			Label: []*dto.LabelPair{
				{Name: proto.String("inference_pool"), Value: proto.String(pool)}, {Name: proto.String("status"), Value: proto.String(status)},
			},
			Counter: &dto.Counter{Value: proto.Float64(counts[status])},
		})
	}
	return all
}
