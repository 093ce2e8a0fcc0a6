package gateway

import (
	"slices"
	"strings"

	"github.com/weirflow/weir/controller/core"
)

// ReplicaStatus is one element of the answer of /v1/replicas.
type ReplicaStatus struct {
	ID   string `json:"id"`
	Self bool   `json:"self,omitempty"`
	// Version is the build that it runs; empty if it does not say.
	Version string `json:"version,omitempty"`
	// Incarnation tells one run of the replica from the next.
	Incarnation uint64 `json:"incarnation"`
	// Live is what gossip says; Reachable is whether its ticket stream works.
	Live       bool `json:"live"`
	Reachable  bool `json:"reachable"`
	Leaving    bool `json:"leaving,omitempty"`
	LedgerLost bool `json:"ledger_lost,omitempty"`
	// Differs are the settings in which it differs from the answering replica.
	Differs []string `json:"differs,omitempty"`
	// OtherLedger is where its ledger is, if it keeps another one than the answering
	// replica: they then share neither queues nor limits.
	OtherLedger *OtherLedger `json:"other_ledger,omitempty"`
	Shards      int          `json:"shards"`
	// TicketsThere are requests of the answering replica that wait in this one's
	// queues, TicketsHere requests of this one that wait in the answering replica's.
	TicketsThere int `json:"tickets_there"`
	TicketsHere  int `json:"tickets_here"`
}

// OtherLedger is where a replica says that its ledger is.
type OtherLedger struct {
	Pool   string `json:"pool"`
	Prefix string `json:"prefix"`
}

// ShardsStatus is the answer of /v1/shards.
type ShardsStatus struct {
	// Version counts the shard maps that the answering replica drew.
	Version uint64        `json:"version"`
	Shards  []ShardStatus `json:"shards"`
}

// ShardStatus is one shard. Flows and Queued are those at the answering replica.
type ShardStatus struct {
	Shard  int    `json:"shard"`
	Owner  string `json:"owner"`
	Flows  int    `json:"flows,omitempty"`
	Queued int64  `json:"queued,omitempty"`
}

func replicaStatus(replica, version string, v core.View) []ReplicaStatus {
	owned := ownedShards(v)
	replicas := make([]ReplicaStatus, 0, len(v.Peers)+len(v.Apart))
	apart := make(map[string]bool)
	for _, a := range v.Apart {
		apart[a.ID] = true
		replicas = append(replicas, ReplicaStatus{ID: a.ID, Live: true, OtherLedger: &OtherLedger{Pool: a.Ledger.Pool, Prefix: a.Ledger.Prefix}})
	}
	for _, p := range v.Peers {
		if apart[p.ID] {
			continue // it kept this one's before
		}
		if p.ID == replica {
			p.Version = version
		}
		replicas = append(replicas, ReplicaStatus{
			ID: p.ID, Self: p.ID == replica, Version: p.Version, Incarnation: p.Incarnation, Live: p.Live, Reachable: p.Reachable,
			Leaving: p.Leaving, LedgerLost: p.LedgerLost, Shards: owned[p.ID],
			TicketsThere: p.TicketsThere, TicketsHere: p.TicketsHere, Differs: settings(p.Differs),
		})
	}
	slices.SortFunc(replicas, func(a, b ReplicaStatus) int { return strings.Compare(a.ID, b.ID) })
	return replicas
}

// settings are what is named, separated by commas; nil for none.
func settings(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ", ")
}

func shardsStatus(v core.View) ShardsStatus {
	s := ShardsStatus{Version: v.Shards.Version(), Shards: make([]ShardStatus, v.Shards.Shards())}
	for i := range s.Shards {
		s.Shards[i] = ShardStatus{Shard: i, Owner: v.Shards.OwnerOf(i)}
	}
	for _, f := range v.Flows {
		s.Shards[f.Shard].Flows++
		s.Shards[f.Shard].Queued += f.Requests
	}
	return s
}

// ownedShards counts the shards of each replica.
func ownedShards(v core.View) map[string]int {
	owned := make(map[string]int)
	for i := range v.Shards.Shards() {
		owned[v.Shards.OwnerOf(i)]++
	}
	return owned
}
