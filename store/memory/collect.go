package memory

import (
	"slices"
	"time"
)

// collect forgets what nobody uses: idle counters, then books and bands that no
// replica states any more.
func (l *Ledger) collect(now time.Time) {
	if now.Sub(l.forgot) >= time.Second {
		l.forgot = now
		l.forgetLimits(now)
	}
	for _, bd := range l.bands {
		for _, b := range bd.books {
			b.collect(now, l.cfg.CounterIdle, l.cfg.CounterKeep)
		}
		before := len(bd.books)
		bd.books = slices.DeleteFunc(bd.books, (*book).forgettable)
		if len(bd.books) != before {
			bd.next = 0
		}
	}
	l.bands = slices.DeleteFunc(l.bands, func(bd *band) bool { return !bd.stated && len(bd.books) == 0 })
}

// collect forgets a few counters that have been idle long enough, so that the
// book's size follows the flows in use and never the flows ever seen: what the
// lift implies first, and the rest later.
func (b *book) collect(now time.Time, idle, keep time.Duration) {
	for range 8 {
		f, ok := b.idle.Front()
		if !ok || now.Sub(f.since) < idle {
			break
		}
		f.idleNode.Remove()
		if !b.countsService || b.liftsIdle && f.counter <= b.v {
			delete(b.flows, f.id)
		} else {
			b.debts.PushBack(&f.idleNode)
		}
	}
	for range 8 {
		f, ok := b.debts.Front()
		if !ok || now.Sub(f.since) < keep {
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
