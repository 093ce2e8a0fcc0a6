package shard_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// TestMapMovesLittle wants a change of members to move only the shards of who
// came or went, and the order of members not to matter.
func TestMapMovesLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9-]{1,20}`), 2, 40, rapid.ID).Draw(t, "members")
		leaver := rapid.SampledFrom(members).Draw(t, "leaver")
		rest := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == leaver })
		with, without := shard.NewMap(1, 256, members), shard.NewMap(2, 256, rest)
		slices.Reverse(members)
		again := shard.NewMap(3, 256, members)
		for s := range 256 {
			if with.OwnerOf(s) != again.OwnerOf(s) {
				t.Fatalf("shard %d depends on the members' order", s)
			}
			if with.OwnerOf(s) != leaver && with.OwnerOf(s) != without.OwnerOf(s) {
				t.Fatalf("shard %d moved from %s to %s when %s left", s, with.OwnerOf(s), without.OwnerOf(s), leaver)
			}
		}
	})
}

// TestMapIsEven wants no replica to own far more than its part.
func TestMapIsEven(t *testing.T) {
	for _, n := range []int{2, 3, 10, 30} {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprint("weir-", i))
		}
		owned := make(map[string]int)
		m := shard.NewMap(1, 256, members)
		for s := range m.Shards() {
			owned[m.OwnerOf(s)]++
		}
		for id, k := range owned {
			part := 256 / float64(n)
			deviation := math.Sqrt(part * (1 - 1/float64(n))) // of a fair throw
			if float64(k) > part+4*deviation || len(owned) != n {
				t.Errorf("%d members: %s owns %d of 256 shards; %d own any", n, id, k, len(owned))
			}
		}
	}
}

// TestOfIsTheProtocol pins the hash: replicas of different versions must agree
// on it.
func TestOfIsTheProtocol(t *testing.T) {
	for key, want := range map[policies.FlowKey]int{
		{}:                             114,
		{ID: "tenant-a"}:               231,
		{ID: "tenant-a", Priority: 1}:  152,
		{ID: "tenant-a", Priority: -1}: 244,
	} {
		if got := shard.Of(key, 256); got != want {
			t.Errorf("%v: shard %d, want %d", key, got, want)
		}
	}
}

func BenchmarkOwner(b *testing.B) {
	m := shard.NewMap(1, 256, []string{"weir-0", "weir-1", "weir-2"})
	key := policies.FlowKey{ID: "tenant-0123456789", Priority: 100}
	b.ReportAllocs()
	for b.Loop() {
		if m.Owner(key) == "" {
			b.Fatal("no owner")
		}
	}
}
