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
			c := besidePeer(t, now, bounds, 1000)
			m := coordinator.Message{From: "b", Incarnation: 1, To: "me", ToIncarnation: 1, Number: 1, Full: true}
			for i := range 4 {
				ticket := tc.ticket(i + 1)
				ticket.ID = policies.TicketID{Ingress: "b", Seq: uint64(i + 1)}
				m.Queued = append(m.Queued, ticket)
			}
			c.Receive(now, &m)
			if diff := cmp.Diff(tc.declined, declined(c, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPeerBoundsOutlastRuns has a replica come back as ever new runs: what its earlier ones
// opened here stands, and counts.
func TestPeerBoundsOutlastRuns(t *testing.T) {
	now := time.Unix(1000, 0)
	c := besidePeer(t, now, core.PeerBounds{Bands: 2, Flows: 2, Tickets: 4, Bytes: 100}, 1000)
	const runs = 10
	handedBack := 0
	for run := range runs {
		flow := policies.FlowKey{ID: fmt.Sprint(run), Priority: run + 1}
		c.Receive(now, &coordinator.Message{
			From: "b", Incarnation: uint64(run + 1), To: "me", ToIncarnation: 1, Number: 1, Full: true,
			Queued: []shard.Ticket{{ID: policies.TicketID{Ingress: "b", Seq: 1}, Flow: flow}},
		})
		handedBack += len(declined(c, now))
	}
	if v := c.View(time.Now()); handedBack != runs-2 || len(v.Flows) != 2 {
		t.Errorf("%d runs with a flow and a band each: %d declined, %d flows here; want %d and 2", runs, handedBack, len(v.Flows), runs-2)
	}
}

// TestPeerBoundsUnconfirmed hands tickets over to a full buffer and never confirms that they
// were rejected: what is remembered of that counts, until it is confirmed.
func TestPeerBoundsUnconfirmed(t *testing.T) {
	now := time.Unix(1000, 0)
	c := besidePeer(t, now, core.PeerBounds{Bands: 2, Flows: 2, Tickets: 5, Bytes: 100}, 3)
	seq, number := uint64(0), uint64(0)
	handOver := func(tickets int, gone ...uint64) coordinator.Message {
		number++
		m := coordinator.Message{From: "b", Incarnation: 1, To: "me", ToIncarnation: 1, Number: number, Full: number == 1, Gone: gone}
		for range tickets {
			seq++
			m.Queued = append(m.Queued, shard.Ticket{ID: policies.TicketID{Ingress: "b", Seq: seq}, Flow: policies.FlowKey{ID: "f"}})
		}
		c.Receive(now, &m)
		said := c.Ready(now).Messages
		if len(said) != 1 {
			t.Fatalf("%d messages in answer to one", len(said))
		}
		return said[0]
	}
	var said coordinator.Message
	for range 100 {
		said = handOver(10)
	}
	if len(said.Rejected) != 2 || len(said.Declined) != 10 {
		t.Fatalf("with 3 queued of 5: %d rejected unconfirmed, %d of 10 declined; want 2 and all", len(said.Rejected), len(said.Declined))
	}
	said = handOver(1, said.Rejected...)
	if diff := cmp.Diff([]uint64{seq}, said.Rejected); diff != "" || len(said.Declined) != 0 {
		t.Errorf("once confirmed: declined %v, rejected %s", said.Declined, diff)
	}
}

// besidePeer returns the core of a replica with one peer, b, and a buffer of so many requests.
func besidePeer(t *testing.T, now time.Time, bounds core.PeerBounds, buffer int64) *core.Core {
	static, err := usagelimit.NewStatic(usagelimit.StaticType, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := core.New(core.Config{
		Replica: "me", Incarnation: 1, UsageLimit: static, Timings: core.DefaultTimings(3 * time.Second), Peers: bounds,
		Shard: shard.Config{Shards: 256, OffersPerBand: 4, Idle: time.Minute, Band: func(int) shard.BandConfig {
			return shard.BandConfig{MaxRequests: buffer, MaxBytes: 1000, Fairness: fairness.NewRoundRobin("rr"), Ordering: ordering.NewFCFS("fcfs")}
		}},
	})
	c.SetMembers(now, coordinator.Members{Live: []coordinator.Member{{ID: "b", Incarnation: 1}}})
	c.SetStream(now, "b", true)
	return c
}

// declined is what the core now says that it does not queue.
func declined(c *core.Core, now time.Time) (seqs []uint64) {
	for _, said := range c.Ready(now).Messages {
		seqs = append(seqs, said.Declined...)
	}
	return seqs
}
