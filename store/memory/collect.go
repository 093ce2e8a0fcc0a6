package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// collect forgets what nobody uses: idle counters, then books and bands that no
// replica states any more.
func (l *Ledger) collect(now time.Time) {
	everything := now.Sub(l.forgot) >= time.Second
	if everything {
		l.forgot = now
		l.forgetLimits(now)
	}
	for _, bd := range l.bands {
		if bd.share.Slots == 0 {
			bd.share = store.Guarantee{}
		}
		for _, b := range bd.books {
			b.collect(now, l.cfg.Timings)
			if everything {
				for _, f := range b.groups {
					f.group.collect(now, l.cfg.Timings)
				}
			}
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
// longest idle first, and with a group's all that is in it: what is kept follows the flows in
// use lately and never the flows ever seen. A flow has none where service is not counted.
func (n *node) collect(now time.Time, t store.Timings) {
	for range store.ForgottenATurn {
		f, ok := n.idle.Front()
		counts := ok && (f.group != nil || n.book.countsService)
		if !ok || counts && now.Sub(f.since) < t.CounterKeep && n.resting() <= t.CountersKept {
			return
		}
		f.idleNode.Remove()
		switch {
		case f.group == nil:
			delete(n.flows, f.id)
		case f.group.holds(): // it is shut
			f.since = now
			n.idle.PushBack(&f.idleNode)
		default:
			f.group.forget()
		}
	}
}

// resting is how many flows and groups nothing stands of.
func (n *node) resting() int { return len(n.flows) + n.groups - n.waiting.Len() }

// forgettable reports whether the book holds nothing that a replica would miss.
func (b *book) forgettable() bool {
	if b.stated {
		return false
	}
	for _, g := range b.groups {
		if g.known && g.in == &b.node {
			return false
		}
	}
	return len(b.flows) == 0 || !b.countsService && b.waiting.Len() == 0
}
