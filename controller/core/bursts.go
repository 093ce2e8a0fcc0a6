package core

import "time"

// bursts is how many of this replica's requests end between two statements. Where they began at
// once and take as long, they end at once: the line should have somebody for each.
type bursts struct {
	ended  int64     // since the last statement
	recent [2]int64  // the most at once, in this period and in the one before
	since  time.Time // when this one began
}

// end notes that one ended.
func (b *bursts) end() { b.ended++ }

// most is how many ended at once at most, of late.
func (b *bursts) most() int64 { return max(b.ended, b.recent[0], b.recent[1]) }

// pass notes that what ended is stated, and after each period forgets what ended before the last.
func (b *bursts) pass(now time.Time, period time.Duration) {
	if now.Sub(b.since) >= period {
		b.recent, b.since = [2]int64{0, b.recent[0]}, now
	}
	b.recent[0], b.ended = max(b.recent[0], b.ended), 0
}
