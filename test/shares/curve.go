package shares

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// Span is a part of a run, each end as the time since the run began.
type Span struct{ From, To time.Duration }

// Seconds is how long it is.
func (s Span) Seconds() float64 { return (s.To - s.From).Seconds() }

// Curve is how many slots some tenants had over time, as the model server saw it.
type Curve struct {
	at    []time.Duration // when the number changed, from 0 on
	slots []int           // since then
	had   []float64       // slot-seconds until then
}

// NewCurve adds up the requests of the tenants that of accepts.
func NewCurve(ran []processes.Ran, began time.Time, of func(tenant string) bool) *Curve {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, r := range ran {
		if !of(r.Tenant) {
			continue
		}
		changes = append(changes, change{max(0, r.Began.Sub(began)), 1})
		if !r.Ended.IsZero() {
			changes = append(changes, change{max(0, r.Ended.Sub(began)), -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	c := &Curve{at: []time.Duration{0}, slots: []int{0}, had: []float64{0}}
	for _, ch := range changes {
		last := len(c.at) - 1
		if ch.at > c.at[last] {
			c.at = append(c.at, ch.at)
			c.slots = append(c.slots, c.slots[last])
			c.had = append(c.had, c.had[last]+float64(c.slots[last])*(ch.at-c.at[last]).Seconds())
			last++
		}
		c.slots[last] += ch.by
	}
	return c
}

// Steady is a curve of that many slots throughout.
func Steady(slots int) *Curve {
	return &Curve{at: []time.Duration{0}, slots: []int{slots}, had: []float64{0}}
}

// index is that of the last change up to then.
func (c *Curve) index(at time.Duration) int {
	return sort.Search(len(c.at), func(i int) bool { return c.at[i] > at }) - 1
}

// until is how many slot-seconds they had by then.
func (c *Curve) until(at time.Duration) float64 {
	i := c.index(max(0, at))
	return c.had[i] + float64(c.slots[i])*(at-c.at[i]).Seconds()
}

// Had is how many slot-seconds they had in the span.
func (c *Curve) Had(s Span) float64 { return c.until(s.To) - c.until(s.From) }

// Mean is how many slots they had on average.
func (c *Curve) Mean(s Span) float64 { return c.Had(s) / s.Seconds() }

// Most is how many slots they had at most.
func (c *Curve) Most(s Span) int {
	return slices.Max(c.slots[c.index(s.From) : c.index(s.To)+1])
}

// Reaches is how long after a time they first had that many slots.
func (c *Curve) Reaches(slots int, after time.Duration) (time.Duration, bool) {
	for i := c.index(after); i < len(c.at); i++ {
		if c.slots[i] >= slots {
			return max(0, c.at[i]-after), true
		}
	}
	return 0, false
}

// Worst is how many slots they had on average in the window of that length in which they had the
// fewest. What they had only bends where the number changes, so that a worst one begins or ends
// there.
func (c *Curve) Worst(s Span, window time.Duration) float64 {
	least := c.Mean(Span{s.From, s.From + window})
	for i := c.index(s.From) + 1; i <= c.index(s.To); i++ {
		for _, w := range []Span{{c.at[i], c.at[i] + window}, {c.at[i] - window, c.at[i]}} {
			if w.From >= s.From && w.To <= s.To {
				least = min(least, c.Mean(w))
			}
		}
	}
	return least
}

// Below is in what part of all windows of that length they had fewer slots on average.
func (c *Curve) Below(s Span, window time.Duration, slots float64) float64 {
	all, below := 0, 0
	for from := s.From; from+window <= s.To; from += window / 50 {
		all++
		if c.Mean(Span{from, from + window}) < slots {
			below++
		}
	}
	return float64(below) / float64(max(1, all))
}

// Lack is by how many slot-seconds they fell furthest behind their part of what all had in the span,
// and when they did, but for the last of those slot-seconds: a little more may be lacking any time
// later.
func (c *Curve) Lack(s Span, part float64, all *Curve, last float64) (most float64, over Span) {
	times := []time.Duration{s.From, s.To}
	for _, curve := range []*Curve{c, all} { // the difference bends nowhere else
		times = append(times, curve.at[curve.index(s.From)+1:curve.index(s.To)+1]...)
	}
	slices.Sort(times)
	behind := func(at time.Duration) float64 { return part*all.until(at) - c.until(at) }
	least, since := behind(s.From), s.From
	for _, at := range times {
		b := behind(at)
		if b-least > most {
			most, over.From = b-least, since
		}
		if b <= least {
			least, since = b, at
		}
	}
	for _, at := range times {
		over.To = at
		if at > over.From && behind(at)-behind(over.From) >= most-last {
			break
		}
	}
	return most, over
}
