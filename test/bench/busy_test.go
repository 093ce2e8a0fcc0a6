package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// BenchmarkBusyTurn: Redis's time for a turn at a full pool of eight replicas, which states
// that some requests ended and offers as many that came in at another replica; by how many
// that are, and with tickets in line or without.
func BenchmarkBusyTurn(b *testing.B) {
	for _, c := range []struct{ ends, line int64 }{{1, 0}, {8, 0}, {32, 0}, {1, 6}, {8, 6}} {
		b.Run(fmt.Sprintf("ends=%d/line=%d", c.ends, c.line), func(b *testing.B) { benchmarkBusyTurn(b, c.ends, c.line) })
	}
}

func benchmarkBusyTurn(b *testing.B, ends, line int64) {
	const replicas, slots, standing = 8, 32, 64
	server := redistest.Start(b)
	l, err := redis.Open(context.Background(), redis.Config{URL: server.URL(), Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // a benchmark
	var all []*busy
	for i := range replicas {
		r := &busy{turns: turns{tb: b, ledger: l, statement: statement(fmt.Sprint("r", i))}, other: fmt.Sprint("r", (i+3)%replicas), line: line}
		r.statement.Bands[0].Limit, r.statement.Members = replicas*slots, replicas
		all = append(all, r)
	}
	for range 2 { // that all know each other, and then that the pool is full
		for _, r := range all {
			r.take(0, slots)
		}
	}
	for _, r := range all {
		r.take(0, standing)
	}
	var granted int64
	run := func(n int) {
		for i := range n {
			granted += all[i%replicas].take(ends, int(ends))
		}
	}
	run(2 * replicas)
	granted = 0
	cpuBefore := usedCPU(b, server)
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	used := (usedCPU(b, server) - cpuBefore) * 1e6
	b.ReportMetric(used/float64(b.N), "redis-µs/turn")
	b.ReportMetric(used/float64(granted), "redis-µs/grant")
	b.ReportMetric(0, "ns/op")
}

// busy takes turns of a replica whose requests end and come, by hand.
type busy struct {
	turns
	other string // where its offers came in
	line  int64  // as many tickets have use in line
}

// take takes a turn that states that so many requests ended, for each of which the first in
// line went, and offers so many. It returns how many requests began since the last.
func (r *busy) take(ends int64, offers int) (began int64) {
	s, band := &r.statement, &r.statement.Bands[0]
	ended := min(ends, band.InFlight)
	moved := min(ended, s.InLine)
	band.InFlight -= ended - moved
	s.InLine, s.WantLine = s.InLine-moved, r.line
	s.Loads = []store.Load{{Endpoint: "10.0.0.1:8000", InFlight: band.InFlight, Capacity: band.Limit}}
	for range offers {
		r.next++
		s.Offers = append(s.Offers, store.Offer{
			Ticket: policies.TicketID{Ingress: r.other, Seq: r.next*16 + uint64(s.Replica[1]-'0')}, Flow: fmt.Sprint("flow-", s.Replica, "-", r.next%8),
			Charge: 1, Score: float64(r.next), Idle: true,
		})
	}
	before := s.ReadUpTo
	reply := r.turns.take()
	for _, m := range reply.Messages {
		switch {
		case m.Number <= before:
		case m.Kind&store.Lined != 0:
			s.InLine++
		case m.Kind&store.Granted != 0:
			band.InFlight++
			moved++
			if m.Ticket.Ingress == "" {
				s.InLine--
			}
		}
	}
	return moved
}
