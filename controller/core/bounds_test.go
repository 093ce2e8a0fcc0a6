package core_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/policies/ordering"
	"github.com/weirflow/weir/policies/usagelimit"
	"github.com/weirflow/weir/shard"
)

// TestPeerBounds hands tickets over beyond what is taken of one replica: those are
// declined, and no others.
func TestPeerBounds(t *testing.T) {
	static, err := usagelimit.NewStatic(usagelimit.StaticType, 1)
	if err != nil {
		t.Fatal(err)
	}
	roomy := core.PeerBounds{Bands: 100, Flows: 100, Tickets: 100, Bytes: 100}
	for name, tc := range map[string]struct {
		bound    func(*core.PeerBounds)
		ticket   func(i int) shard.Ticket
		declined []uint64
	}{
		"tickets": {
			func(b *core.PeerBounds) { b.Tickets = 2 },
			func(int) shard.Ticket { return shard.Ticket{Flow: policies.FlowKey{ID: "a"}} },
			[]uint64{3, 4},
		},
		"bytes": {
			func(b *core.PeerBounds) { b.Bytes = 7 },
			func(int) shard.Ticket { return shard.Ticket{Flow: policies.FlowKey{ID: "a"}, Bytes: 3} },
			[]uint64{3, 4},
		},
		"flows": {
			func(b *core.PeerBounds) { b.Flows = 2 },
			func(i int) shard.Ticket { return shard.Ticket{Flow: policies.FlowKey{ID: fmt.Sprint(i)}} },
			[]uint64{3, 4},
		},
		"bands": {
			func(b *core.PeerBounds) { b.Bands = 2 },
			func(i int) shard.Ticket {
				return shard.Ticket{Flow: policies.FlowKey{ID: "a", Priority: i % 4}}
			},
			[]uint64{3, 4},
		},
		"within": {
			func(*core.PeerBounds) {},
			func(i int) shard.Ticket {
				return shard.Ticket{Flow: policies.FlowKey{ID: fmt.Sprint(i), Priority: i}, Bytes: 1}
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bounds := roomy
			tc.bound(&bounds)
			now := time.Unix(1000, 0)
			c := core.New(core.Config{
				Replica: "me", Incarnation: 1, UsageLimit: static, Timings: core.DefaultTimings(3 * time.Second), Peers: bounds,
				Shard: shard.Config{Shards: 256, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
					return shard.BandConfig{MaxRequests: 1000, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
				}},
			})
			c.SetMembers(now, coordinator.Members{Live: []coordinator.Member{{ID: "b", Incarnation: 1}}})
			c.SetStream(now, "b", true)
			m := coordinator.Message{From: "b", Incarnation: 1, To: "me", ToIncarnation: 1, Number: 1, Full: true}
			for i := range 4 {
				ticket := tc.ticket(i + 1)
				ticket.ID = policies.TicketID{Ingress: "b", Seq: uint64(i + 1)}
				m.Queued = append(m.Queued, ticket)
			}
			c.Receive(now, &m)
			var declined []uint64
			for _, said := range c.Ready(now).Messages {
				declined = append(declined, said.Declined...)
			}
			if diff := cmp.Diff(tc.declined, declined); diff != "" {
				t.Error(diff)
			}
		})
	}
}
