package traffic

import (
	"fmt"
	"math"
	"time"
)

// buckets is how many there are: two for each doubling from half a millisecond on, which
// reaches to two minutes.
const buckets = 37

// shortest is the bound of the first bucket.
const shortest = 500 * time.Microsecond

// Waits is how many requests waited how long.
type Waits [buckets]uint32

// Observe counts a wait.
func (w *Waits) Observe(d time.Duration) { w[bucketOf(d)]++ }

func bucketOf(d time.Duration) int {
	if d <= shortest {
		return 0
	}
	return min(buckets-1, int(math.Ceil(2*math.Log2(float64(d)/float64(shortest)))))
}

// bound is the longest wait of a bucket.
func bound(i int) time.Duration {
	return time.Duration(float64(shortest) * math.Pow(2, float64(i)/2))
}

// Add adds another's.
func (w *Waits) Add(o *Waits) {
	for i := range w {
		w[i] += o[i]
	}
}

// Less returns what is more than in an earlier state.
func (w *Waits) Less(o *Waits) (d Waits) {
	for i := range w {
		d[i] = w[i] - o[i]
	}
	return d
}

// Count is how many there are.
func (w *Waits) Count() (n uint64) {
	for _, c := range w {
		n += uint64(c)
	}
	return n
}

// Quantile returns what that part of the waits stayed within, exact to a fifth; 0 if
// there are none.
func (w *Waits) Quantile(q float64) time.Duration {
	n := w.Count()
	if n == 0 {
		return 0
	}
	rank := q * float64(n)
	below := 0.0
	for i, c := range w {
		if c == 0 {
			continue
		}
		if below+float64(c) >= rank || i == buckets-1 {
			from := time.Duration(0)
			if i > 0 {
				from = bound(i - 1)
			}
			return from + time.Duration(float64(bound(i)-from)*min(1, max(0, rank-below)/float64(c)))
		}
		below += float64(c)
	}
	return bound(buckets - 1)
}

// Pairs are the buckets that are not empty, each by its number and its count, one after
// the other.
func (w *Waits) Pairs() []uint32 {
	var pairs []uint32
	for i, c := range w {
		if c > 0 {
			pairs = append(pairs, uint32(i), c)
		}
	}
	return pairs
}

// FromPairs is the inverse of Pairs.
func FromPairs(pairs []uint32) (w Waits, err error) {
	if len(pairs)%2 != 0 || len(pairs) > 2*buckets {
		return w, fmt.Errorf("waits of %d numbers: they come in pairs, at most %d", len(pairs), buckets)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] >= buckets {
			return w, fmt.Errorf("waits: bucket %d of %d", pairs[i], buckets)
		}
		w[pairs[i]] += pairs[i+1]
	}
	return w, nil
}
