package shard

import (
	"slices"

	"github.com/weirflow/weir/policies"
)

// Count is how many shards a fleet has. Replicas with different counts cannot
// work together.
const Count = 256

// Map says which replica owns each shard. It does not change once made, so any
// number of goroutines may read it.
//
// The owner is the member of the highest random weight for the shard (Thaler and
// Ravishankar, "Using name-based mappings to increase hit rates", 1998): every
// replica that knows the same members draws the same map, and a change of
// members moves only the shards of those who came or went.
type Map struct {
	version uint64
	members []string
	owners  []string
}

// NewMap returns the map of the given version for the members, in any order.
// Without members nobody owns anything, and Owner returns "".
func NewMap(version uint64, shards int, members []string) *Map {
	m := &Map{version: version, members: slices.Sorted(slices.Values(members)), owners: make([]string, shards)}
	seeds := make([]uint64, len(m.members))
	for i, id := range m.members {
		seeds[i] = fnv1a(fnvOffset, id)
	}
	for s := range m.owners {
		var best uint64
		for i, id := range m.members {
			if w := weight(seeds[i], uint64(s)+1); i == 0 || w > best {
				best, m.owners[s] = w, id
			}
		}
	}
	return m
}

// Rank is a member's place, from 0, in the order of the members by their weights for
// a key, as the owner of a shard is the first for that.
func Rank(key, member string, members []string) (rank int) {
	k := fnv1a(fnvOffset, key)
	own := weight(fnv1a(fnvOffset, member), k)
	for _, id := range members {
		w := weight(fnv1a(fnvOffset, id), k)
		if id != member && (w > own || w == own && id < member) {
			rank++
		}
	}
	return rank
}

// Owned is how many shards a member owns.
func (m *Map) Owned(member string) (n int) {
	for _, owner := range m.owners {
		if owner == member {
			n++
		}
	}
	return n
}

// weight is a member's random weight for a key.
func weight(member, key uint64) uint64 { return mix(member ^ mix(key)) }

// Version tells one map from the next of the same replica.
func (m *Map) Version() uint64 { return m.version }

// Members returns the members, sorted; the caller must not change them.
func (m *Map) Members() []string { return m.members }

// Shards returns the number of shards.
func (m *Map) Shards() int { return len(m.owners) }

// OwnerOf returns the owner of a shard.
func (m *Map) OwnerOf(shard int) string { return m.owners[shard] }

// Owner returns the owner of a flow's shard.
func (m *Map) Owner(key policies.FlowKey) string { return m.owners[Of(key, len(m.owners))] }

// Of returns the shard of a flow, from 0 to shards-1. Every replica must agree
// on it, so the hash is part of the protocol between them: FNV-1a over the id,
// a zero byte and the priority in eight bytes, the lowest first.
func Of(key policies.FlowKey, shards int) int {
	h := fnv1a(fnvOffset, key.ID)
	h *= fnvPrime // the zero byte
	for p, i := uint64(key.Priority), 0; i < 8; p, i = p>>8, i+1 {
		h = (h ^ p&0xff) * fnvPrime
	}
	return int(mix(h) % uint64(shards))
}

const (
	fnvOffset uint64 = 14695981039346656037
	fnvPrime  uint64 = 1099511628211
)

func fnv1a(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// mix spreads the bits of x: the finalizer of SplitMix64 (Steele, Lea and Flood,
// OOPSLA 2014). FNV alone leaves the high bits of short names too alike.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
