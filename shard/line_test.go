package shard

import (
	"cmp"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
)

// bySize orders by the body's size and has no score.
type bySize struct{ policies.Named }

func (bySize) Less(a, b policies.QueueItemAccessor) bool { return a.ByteSize() < b.ByteSize() }

// TestLineKeepsTheOrder puts tickets into a line so that their places come close
// together, and takes some out.
func TestLineKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := line{ordering: bySize{}}
		sizes := rapid.SliceOfN(rapid.Int64Range(0, 20), 1, 200).Draw(t, "sizes")
		for n, size := range sizes {
			it := &item{Ticket: ticket(n, "a", 0)}
			it.Bytes = size
			l.insert(it)
			if n%5 == 4 {
				l.remove(l.items[rapid.IntRange(0, len(l.items)-1).Draw(t, "which")])
			}
			for i := range l.items[1:] {
				a, b := l.items[i], l.items[i+1]
				if l.less(b, a) || !(a.score < b.score) {
					t.Fatalf("%d bytes of %v at %v stand before %d of %v at %v", a.Bytes, a.Arrival, a.score, b.Bytes, b.Arrival, b.score)
				}
			}
		}
		if want := len(sizes) - len(sizes)/5; len(l.items) != want {
			t.Fatalf("%d tickets are in the line, want %d", len(l.items), want)
		}
	})
}

// TestLineKeepsArrivals wants the scores to be the arrivals where the order is theirs,
// and one that overtakes to count as if it had come just before.
func TestLineKeepsArrivals(t *testing.T) {
	l := line{ordering: bySize{}}
	at := func(n int, size int64) *item {
		it := &item{Ticket: ticket(n, "a", 0)}
		it.Bytes = size
		l.insert(it)
		return it
	}
	first, second, small := at(0, 5), at(1, 5), at(2, 1)
	if first.score != policies.ArrivalScore(shown{&first.Ticket}) || second.score != policies.ArrivalScore(shown{&second.Ticket}) {
		t.Errorf("scores %v and %v of tickets in the order of their arrival, want these", first.score, second.score)
	}
	if small.score != first.score-1 {
		t.Errorf("one that overtakes has %v, the first it overtook %v", small.score, first.score)
	}
}

// TestLedgerKnowsTheOrder compares what a ledger knows of a band's offers with Less,
// however tickets come and go between turns that may fail.
func TestLedgerKnowsTheOrder(t *testing.T) {
	for _, fair := range []policies.FairnessPolicy{fairness.NewRoundRobin("rr"), fairness.NewGlobalStrict("strict")} {
		rapid.Check(t, func(t *rapid.T) {
			cfg := testConfig(1000)
			band := cfg.Band(0)
			band.Fairness, band.Ordering = fair, bySize{}
			cfg.Band = func(int) BandConfig { return band }
			s := New(cfg)
			ledger := map[policies.TicketID]Offer{}
			sizes := map[policies.TicketID]int64{}
			for n := range rapid.IntRange(1, 100).Draw(t, "events") {
				now := start.Add(time.Duration(n) * time.Microsecond)
				tk := ticket(n, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "flow"), 0)
				tk.Arrival, tk.Bytes = now, rapid.Int64Range(1, 30).Draw(t, "size")
				sizes[tk.ID] = tk.Bytes
				_, _ = s.Add(tk, now)
				if len(ledger) > 0 && rapid.IntRange(0, 3).Draw(t, "leaves") == 0 {
					id := rapid.SampledFrom(slices.SortedFunc(maps.Keys(ledger), policies.TicketID.Compare)).Draw(t, "which")
					delete(ledger, id)
					s.Taken(id, float64(n), now)
				}
				if rapid.Bool().Draw(t, "more come before the turn") {
					continue
				}
				s.Refill()
				s.Changes(func(o Offer) { ledger[o.Ticket] = o }, func(id policies.TicketID) { delete(ledger, id) })
				if rapid.IntRange(0, 4).Draw(t, "reply lost") == 0 {
					s.Failed()
					continue
				}
				s.Answered()
				offers := slices.SortedFunc(maps.Values(ledger), func(a, b Offer) int { return cmp.Compare(a.Score, b.Score) })
				for i := range offers[1:] {
					if a, b := offers[i], offers[i+1]; sizes[a.Ticket] > sizes[b.Ticket] {
						t.Fatalf("the ledger has %d bytes at %v before %d at %v", sizes[a.Ticket], a.Score, sizes[b.Ticket], b.Score)
					}
				}
			}
		})
	}
}
