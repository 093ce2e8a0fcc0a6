package stream

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
	"github.com/weirflow/weir/policies"
)

// TestObservations puts observations on the wire and takes them off, and leaves out
// what is out of bounds.
func TestObservations(t *testing.T) {
	now := time.Now()
	sent := coordinator.Observations{
		Readings: []coordinator.Reading{{Endpoint: "10.0.0.1:8000", EndpointMetrics: policies.EndpointMetrics{
			ReadAt: now.Add(-30 * time.Millisecond), Running: 3, Waiting: 2, KVCacheUsage: 0.5,
			LoadedModels: []string{"a"}, WaitingModels: []string{"b", "c"}, MaxLoadedModels: 4,
		}}},
		Placements: []coordinator.Placement{{Endpoint: "10.0.0.1:8000", Prefixes: []uint64{1, math.MaxUint64}}},
	}
	w := encodeObservations(&sent).GetObservations()
	got := decodeObservations(w, now)
	age := now.Sub(got.Readings[0].ReadAt)
	if age < 30*time.Millisecond || age > 10*time.Second {
		t.Errorf("a reading of 30 ms ago has the age %v", age)
	}
	got.Readings[0].ReadAt = sent.Readings[0].ReadAt
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Error(diff)
	}
	long := make([]byte, maxNameBytes+1)
	for _, bad := range []*ticketpb.Reading{
		{},
		{Endpoint: string(long)},
		{Endpoint: "a", Age: -1},
		{Endpoint: "a", Age: int64(2 * maxAge)},
		{Endpoint: "a", Waiting: -1},
		{Endpoint: "a", KvCacheUsage: math.NaN()},
		{Endpoint: "a", LoadedModels: make([]string, maxModels+1)},
	} {
		if o := decodeObservations(&ticketpb.Observations{Readings: []*ticketpb.Reading{bad}}, now); len(o.Readings) > 0 {
			t.Errorf("taken in: %+v", o.Readings)
		}
	}
	flood := &ticketpb.Observations{Placements: []*ticketpb.Placement{
		{Endpoint: "a", Prefixes: []uint64{1}}, {Endpoint: "a", Prefixes: make([]uint64, maxPrefixes)},
	}}
	if o := decodeObservations(flood, now); len(o.Placements) != 1 {
		t.Errorf("%d placements taken in of a flood", len(o.Placements))
	}
}

func FuzzObservations(f *testing.F) {
	seed, err := proto.Marshal(&ticketpb.Observations{Readings: []*ticketpb.Reading{{Endpoint: "a", Waiting: 1}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var w ticketpb.Observations
		if proto.Unmarshal(data, &w) != nil {
			return
		}
		now := time.Now()
		o := decodeObservations(&w, now)
		for _, r := range o.Readings {
			if r.Endpoint == "" || r.ReadAt.After(now) || r.Waiting < 0 || r.Running < 0 || !(r.KVCacheUsage >= 0) {
				t.Errorf("taken in: %+v", r)
			}
		}
	})
}
