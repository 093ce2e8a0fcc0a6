package shares

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// level is groups side by side.
type level struct {
	weights string
	groups  []string
	weigh   []float64
}

// TestLevels has groups of three levels share by weights of 3:1, 2:1 and 1:1:1, where some ask for
// answers five times as long as others and all come in by one replica or another. It holds after the
// ledger was lost, and a reload changes a weight.
func TestLevels(t *testing.T) {
	weighing := func(acme int) string {
		return fmt.Sprintf(`
  groups:
  - {name: acme, weight: %d}
  - {name: acme/research, weight: 2}
  - {name: acme/research/a}
  - {name: acme/research/b}
  - {name: acme/research/c}
  - {name: acme/product}
  - {name: zeta}
`, acme)
	}
	outer := level{"3:1", []string{"acme", "zeta"}, []float64{3, 1}}
	inner := []level{
		{"2:1", []string{"acme/research", "acme/product"}, []float64{2, 1}},
		{"1:1:1", []string{"acme/research/a", "acme/research/b", "acme/research/c"}, []float64{1, 1, 1}},
	}
	onFleets(t, weighing(3), func(f *fleet) {
		long := map[string]bool{"acme/research/a/x": true, "acme/product/x": true}
		f.load.Tokens = func(tenant string) int {
			if long[tenant] {
				return between(40, 80)
			}
			return between(8, 16)
		}
		f.everywhere("zeta/x", 20)
		f.clients("acme/product/x", 12, f.at(0))
		f.clients("acme/research/a/x", 12, f.at(1))
		f.clients("acme/research/b/x", 12, f.at(1))
		f.clients("acme/research/c/x", 12, f.at(2))
		f.next(100)
		f.even("requests of different lengths: Jain's index of each level", f.next(250*times()), append([]level{outer}, inner...)...)

		f.redis.Kill()
		f.redis.Run()
		f.next(200)
		f.even("the same, after Redis started empty", f.next(150*times()), append([]level{outer}, inner...)...)

		f.reload(weighing(1))
		f.next(100)
		outer := level{"1:1", outer.groups, []float64{1, 1}}
		f.even("the same, a reload has made the first 1:1", f.next(150*times()), append([]level{outer}, inner...)...)
	})
}

// even wants the groups of each level to have had slots over time by their weights.
func (f *fleet) even(what string, s Span, levels ...level) {
	f.Helper()
	var said []string
	for _, l := range levels {
		var sum, squares float64
		for i, g := range l.groups {
			had := f.curve(g).Had(s) / l.weigh[i]
			sum, squares = sum+had, squares+had*had
		}
		jain := sum * sum / squares / float64(len(l.groups))
		said = append(said, fmt.Sprintf("%s: %.4f", l.weights, jain))
		if jain < 0.99 {
			f.Errorf("%s: weights %s: Jain's index %.4f, want at least 0.99", what, l.weights, jain)
		}
	}
	f.tell(what, "%s", strings.Join(said, ", "))
}

// TestSpreadsInVain has a tenant come by fifty flows at all replicas, beside one of the same weight
// that has a single flow: both have the same.
func TestSpreadsInVain(t *testing.T) {
	onFleets(t, "  groups: [{name: many}, {name: one}]\n", func(f *fleet) {
		for n := range 50 {
			f.clients(fmt.Sprint("many/", n), 1, f.at(n))
		}
		f.clients("one/x", 20, f.at(0))
		f.next(100)
		f.share("one of two groups comes by 50 flows, the other by one", f.next(150*times()), 0.48, 0.52, "many")
	})
}

// TestDemand has three groups that are guaranteed 50%, 30% and 20% and want 10% and twice the pool
// each: what the first does not use goes to the others by their weights, but for the guarantees.
func TestDemand(t *testing.T) {
	weighing := func(b, c int) string {
		return fmt.Sprintf(`
  groups: [{name: a, guaranteed: 50%%}, {name: b, guaranteed: 30%%, weight: %d}, {name: c, guaranteed: 20%%, weight: %d}]
`, b, c)
	}
	onFleets(t, weighing(1, 1), func(f *fleet) {
		f.every(200*time.Millisecond, "a/x") // and each takes 160 ms of one of 8 slots
		f.clients("b/x", 2*slots, f.at(1))
		f.clients("c/x", 2*slots, f.at(2))
		for i, w := range []struct {
			b, c int
			due  float64 // to b, of what a leaves
		}{{1, 1, 1. / 2}, {1, 5, 1. / 3}} { // 30% of the pool is a third of 90%
			if i > 0 {
				f.reload(weighing(w.b, w.c))
			}
			f.next(150)
			s := f.next(200 * times())
			a, b, c := f.part(s, "a"), f.part(s, "b"), f.part(s, "c")
			what := fmt.Sprintf("50%%, 30%% and 20%% guaranteed, about 10%%, 200%% and 200%% wanted, weights 1, %d and %d", w.b, w.c)
			use := f.curve().Mean(s) / slots
			f.tell(what, "%.1f%%, %.1f%%, %.1f%%; in use %.1f%%", 100*a, 100*b, 100*c, 100*use)
			if got := b / (b + c); got < w.due-0.03 || got > w.due+0.03 {
				f.Errorf("%s: of what the first left the second had %.1f%%, want %.1f%%", what, 100*got, 100*w.due)
			}
			if use < 0.85 {
				f.Errorf("%s: %.1f%% of the pool in use", what, 100*use)
			}
		}
	})
}

// weighing is what is below "weir:" where batch and a flood of a higher priority share by weights.
func weighing(flood, batch int) string {
	return fmt.Sprintf(`
  bandPolicy: weighted
  flows: [{id: batch, priority: -10}, {id: flood, priority: 10}]
  bands: [{priority: 10, weight: %d}, {priority: -10, weight: %d}]
`, flood, batch)
}

// TestBandWeights has two priorities share by their weights: while both wait, after the ledger was
// lost, after a reload that gives the low one less than a slot, and alone.
func TestBandWeights(t *testing.T) {
	onFleets(t, weighing(3, 1), func(f *fleet) {
		endFlood := f.clients("flood", 40, f.at(0))
		f.clients("batch", 20, f.at(2))
		f.next(100)
		f.share("priorities of weights 3 and 1: the lower has", f.next(150*times()), 0.23, 0.27, "batch")

		f.redis.Kill()
		f.redis.Run()
		f.next(200)
		f.share("the same, after Redis started empty", f.next(150*times()), 0.23, 0.27, "batch")

		f.reload(weighing(19, 1))
		f.next(100)
		f.share("weights of 19 and 1, by a reload: due 5%, 0.4 slots", f.next(150*times()), 0.035, 0.07, "batch")

		endFlood()
		f.idle("flood")
		f.share("alone: has", f.next(50*times()), 1, 1, "batch")
	})
}
