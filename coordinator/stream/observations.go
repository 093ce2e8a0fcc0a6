package stream

import (
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
	"github.com/weirflow/weir/policies"
)

// Bounds on observations: how many wait for a replica that takes none, and how much of one
// is accepted.
const (
	maxObserved  = 4
	maxReadings  = 10_000
	maxPrefixes  = 1 << 16
	maxModels    = 256
	maxNameBytes = 512
	maxAge       = time.Hour
)

// encodeObservations puts observations on the wire. A reading's time becomes its age:
// the other's clock may be another.
func encodeObservations(o *coordinator.Observations) *ticketpb.Message {
	now := time.Now()
	w := &ticketpb.Observations{}
	for i := range o.Readings {
		r := &o.Readings[i]
		w.Readings = append(w.Readings, &ticketpb.Reading{
			Endpoint: r.Endpoint, Age: int64(now.Sub(r.ReadAt)), Running: int64(r.Running), Waiting: int64(r.Waiting), KvCacheUsage: r.KVCacheUsage,
			LoadedModels: r.LoadedModels, WaitingModels: r.WaitingModels, MaxLoadedModels: int64(r.MaxLoadedModels),
		})
	}
	for _, p := range o.Placements {
		w.Placements = append(w.Placements, &ticketpb.Placement{Endpoint: p.Endpoint, Prefixes: p.Prefixes})
	}
	return &ticketpb.Message{Pool: o.Pool, Observations: w}
}

// decodeObservations takes observations off the wire. What is out of bounds is left
// out: it is no reason to break a stream that carries tickets.
func decodeObservations(w *ticketpb.Observations, now time.Time) (o coordinator.Observations) {
	for _, r := range w.GetReadings()[:min(len(w.GetReadings()), maxReadings)] {
		age := time.Duration(r.GetAge())
		if !named(r.GetEndpoint()) || age < 0 || age > maxAge || r.GetRunning() < 0 || r.GetWaiting() < 0 || r.GetMaxLoadedModels() < 0 ||
			!(r.GetKvCacheUsage() >= 0) || len(r.GetLoadedModels()) > maxModels || len(r.GetWaitingModels()) > maxModels {
			continue
		}
		o.Readings = append(o.Readings, coordinator.Reading{Endpoint: r.GetEndpoint(), EndpointMetrics: policies.EndpointMetrics{
			ReadAt: now.Add(-age), Running: int(r.GetRunning()), Waiting: int(r.GetWaiting()), KVCacheUsage: r.GetKvCacheUsage(),
			LoadedModels: r.GetLoadedModels(), WaitingModels: r.GetWaitingModels(), MaxLoadedModels: int(r.GetMaxLoadedModels()),
		}})
	}
	prefixes := 0
	for _, p := range w.GetPlacements() {
		if prefixes += len(p.GetPrefixes()); prefixes > maxPrefixes {
			break
		}
		if named(p.GetEndpoint()) {
			o.Placements = append(o.Placements, coordinator.Placement{Endpoint: p.GetEndpoint(), Prefixes: p.GetPrefixes()})
		}
	}
	return o
}

func named(endpoint string) bool { return endpoint != "" && len(endpoint) <= maxNameBytes }
