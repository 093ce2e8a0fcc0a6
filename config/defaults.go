package config

import (
	"time"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// newFile is a file that says nothing: what holds where another one is silent.
func newFile() *File {
	f := &File{}
	f.FlowControl.DefaultRequestTTL = lasting(time.Minute)
	f.FlowControl.UsageLimitPolicyPluginRef = usagelimit.StaticType
	f.Weir = Weir{
		Pool: "default", Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9090", AccessLog: "off", MetricsNames: "weir",
		MaxBody: 32 << 20, MaxHeaderBytes: headers.DefaultMaxBytes, DrainTimeout: lasting(30 * time.Second), MaxFlows: flows.DefaultMax,
		Discovery: Discovery{DNSInterval: lasting(5 * time.Second)},
		Metrics:   Metrics{Interval: lasting(50 * time.Millisecond), Server: "vllm"},
		Store:     Store{Prefix: "weir:", OnOutage: "share", Lease: lasting(store.DefaultLease), KeepLost: lasting(store.DefaultKeepLost)},
		Fleet:     Fleet{Name: "weir", Peer: "127.0.0.1:0"},
	}
	return f
}

func lasting(t time.Duration) *Duration { return (*Duration)(&t) }

// complete fills in what depends on the rest where it was not given. What depends on
// plug-ins is left to the builder.
func (f *File) complete() *File {
	fc := &f.FlowControl
	if fc.NoEndpointRequestTTL == nil {
		fc.NoEndpointRequestTTL = fc.DefaultRequestTTL
	}
	if fc.DefaultPriorityBand == nil {
		fc.DefaultPriorityBand = &DefaultBand{}
	}
	if fc.DefaultNegativePriorityBand == nil {
		same := *fc.DefaultPriorityBand
		same.Priority = nil
		fc.DefaultNegativePriorityBand = &same
	}
	fc.DefaultPriorityBand.complete()
	fc.DefaultNegativePriorityBand.complete()
	for i := range fc.PriorityBands {
		fc.PriorityBands[i].complete()
	}
	return f
}

func (b *Band) complete() {
	fallback(&b.MaxBytes, shard.DefaultMaxBytes)
	fallback(&b.MaxRequests, shard.DefaultMaxRequests)
	fallback(&b.FairnessPolicyRef, fairness.GlobalStrictType)
	fallback(&b.OrderingPolicyRef, ordering.FCFSType)
}

// fallback gives a field that is not set its default.
func fallback[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}
