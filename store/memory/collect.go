package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// collect forgets what nobody uses: idle counters, then books and bands that no
// replica states any more.
func (l *Ledger) collect(now time.Time) {
	if now.Sub(l.forgot) >= time.Second {
		l.forgot = now
		l.forgetLimits(now)
	}
	for _, bd := range l.bands {
		if bd.share.Slots == 0 {
			bd.share = store.Guarantee{}
		}
		for _, b := range bd.books {
			b.collect(now, l.cfg.Timings)
		}
		before := len(bd.books)
		bd.books = slices.DeleteFunc(bd.books, (*book).forgettable)
		if len(bd.books) != before {
			bd.next = 0
		}
	}
	l.bands = slices.DeleteFunc(l.bands, func(bd *band) bool { return !bd.stated && len(bd.books) == 0 })
}

// collect forgets a few counters that have been idle for long or are too many, the
// longest idle first: the book's size follows the flows in use lately and never the flows
// ever seen.
func (b *book) collect(now time.Time, t store.Timings) {
	for range store.ForgottenATurn {
		f, ok := b.idle.Front()
		if !ok || b.countsService && now.Sub(f.since) < t.CounterKeep && len(b.flows)-b.waiting.Len() <= t.CountersKept {
			return
		}
		f.idleNode.Remove()
		delete(b.flows, f.id)
	}
}

// forgettable reports whether the book holds nothing that a replica would miss.
func (b *book) forgettable() bool {
	return !b.stated && (len(b.flows) == 0 || !b.countsService && b.waiting.Len() == 0)
}
