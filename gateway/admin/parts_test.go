package admin

import (
	"slices"
	"testing"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
)

// TestPartsOfGroups has flows of nested groups wait, and one that does not.
func TestPartsOfGroups(t *testing.T) {
	acme, other := shard.Group{Path: "acme", Weight: 3}, shard.Group{Path: shard.Others, Weight: 1}
	research, product := shard.Group{Path: "acme/research", Weight: 1}, shard.Group{Path: "acme/product", Weight: 2}
	idle := shard.Group{Path: "idle", Weight: 100}
	of := func(id string, weight float64, queued int64, groups ...shard.Group) *flow {
		return &flow{Flow: api.Flow{ID: id, Weight: weight, Queued: queued, Group: groups[len(groups)-1].Path}, groups: groups}
	}
	all := []*flow{
		of("r", 1, 1, acme, research), of("p1", 1, 1, acme, product), of("p2", 3, 1, acme, product), of("o", 5, 1, other), of("i", 1, 0, idle),
	}
	part := parts(all, func(f *flow) bool { return f.Queued > 0 })
	for i, want := range []float64{0.25, 0.125, 0.375, 0.25} {
		if got := part(all[i]); got != want {
			t.Errorf("%s has %g of the band, want %g", all[i].ID, got, want)
		}
	}
}

// TestGroupShares adds up flows of nested groups at two priorities.
func TestGroupShares(t *testing.T) {
	acme, research := shard.Group{Path: "acme", Weight: 3}, shard.Group{Path: "acme/research", Weight: 1}
	of := func(priority int, share, entitled float64, groups ...shard.Group) *flow {
		return &flow{Flow: api.Flow{Priority: priority, Queued: 1, InFlight: 2, Share: share, Entitled: entitled}, groups: groups}
	}
	got := groupShares([]*flow{of(0, 0.25, 0.5, acme, research), of(0, 0.5, 0.25, acme), of(7, 1, 1, acme), of(0, 0.25, 0.25)}, map[string]shard.Maximum{"acme": {Part: 0.5}}, 17)
	most := int64(8)
	for i := range got {
		if got[i].Maximum != nil {
			if *got[i].Maximum != most {
				t.Errorf("half of 17 slots are %d", *got[i].Maximum)
			}
			got[i].Maximum = &most
		}
	}
	want := []api.GroupShare{
		{Group: "acme", Priority: 7, Weight: 3, InFlight: 2, Queued: 1, Flows: 1, Share: 1, Entitled: 1, Maximum: &most, InFlightOfAll: 6},
		{Group: "acme", Weight: 3, InFlight: 4, Queued: 2, Flows: 2, Share: 0.75, Entitled: 0.75, Maximum: &most, InFlightOfAll: 6},
		{Group: "acme/research", Weight: 1, InFlight: 2, Queued: 1, Flows: 1, Share: 0.25, Entitled: 0.5, InFlightOfAll: 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for most, reached := range map[int64]bool{2: true, 3: false} {
		one := groupShares([]*flow{of(0, 1, 1, acme)}, map[string]shard.Maximum{"acme": {Requests: most}}, 17)
		if one[0].AtMaximum != reached {
			t.Errorf("with 2 of %d in flight it is at its maximum: %v", most, one[0].AtMaximum)
		}
	}
}
