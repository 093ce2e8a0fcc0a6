package memory

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// At a full pool, tickets that are next in order stand in line at their ingresses: they are
// charged as if granted, and go in the slots of requests that end there. The ledger keeps how
// many stand where, and never who.

// There is no line while a request of a band that goes before it came within quietFor:
// the next one would wait for those in line to be called back. When the last came is known
// within offeredWithin.
const (
	quietFor      = time.Second
	offeredWithin = 100 * time.Millisecond
)

// lineOver is how many times as many as it has use for stand in line at a replica at most: as
// many as all have use for stand in all lines together, and in their order, which is not
// always where slots end. Past that what is next waits for slots to come to it, and who comes
// behind it as well.
const lineOver = 2

// wasOffered notes that a request of the band waits.
func (bd *band) wasOffered(now time.Time) {
	if now.Sub(bd.offered) > offeredWithin {
		bd.offered = now
	}
}

// lineOf is how many of a band's tickets stand in line. All that do are of one band.
func (l *Ledger) lineOf(bd *band) int64 {
	if bd.priority != l.lined || l.lineStuck {
		return 0
	}
	return l.inLine
}

// waitsFor reports whether something of the band waits for a slot: an offer, or who stands in
// line.
func (l *Ledger) waitsFor(bd *band) bool { return bd.waits("") || l.lineOf(bd) > 0 }

// relined replaces what was known of a replica's line by what it states, with those among its
// unread messages, in their order: it is never less than stand there once these are read.
func (l *Ledger) relined(r *replica, s *store.Statement) {
	l.inLine -= r.line
	r.line, r.wantLine = s.InLine, s.WantLine
	for i := range r.unread {
		switch m := &r.unread[i]; {
		case m.Kind&store.Lined != 0:
			r.line++
		case m.forLine():
			r.line = max(0, r.line-1)
		}
	}
	l.inLine += r.line
}

// forLine reports whether a message is a grant for the first in line.
func (m *message) forLine() bool {
	return m.Kind == store.Granted && m.Ticket.Ingress == ""
}

// usualTurns is over how many of a replica's turns the slots are averaged that it usually has.
const usualTurns = 16

// average takes in how many slots a replica has as its turn begins.
func (r *replica) average(anew bool) {
	if anew {
		r.usual = usualTurns * r.held
	}
	r.usual += r.held - r.usual/usualTurns
}

// steady is by how many tickets more in line a replica is served first for each slot that it has less
// than it usually has, where a slot serves one ticket in the time that the line should last; by the square
// of these where it is more or less.
//
// A slot goes on serving where it went, once those are served who had waited there for too long. If it went
// to the longest line, whatever slots are there already, that one would next be short, and the slot go away
// again, and stand empty for a turn and a half each way. With lines as much longer as a replica has slots
// too many, both go down together, in 16 turns where a slot serves one ticket in two.
const steady = 8

// leastSteady is up to how many tickets, on average, lines may be for slots to go to the longest: these are
// numbers rounded up, and no time to be served is worth an average. So they do where lines should be longer
// than there are slots: beside a far ledger, and where slots are few.
const leastSteady = 2

// lineServes is how many tickets a slot serves in the time that a line should last, as replicas state
// how many they have use for; 0 for slots to go to the longest line.
func (l *Ledger) lineServes() float64 {
	wanted, members := l.lineWanted(), int64(len(l.replicas))
	if wanted <= leastSteady*members || wanted > l.held+members {
		return 0
	}
	return float64(wanted) / float64(l.held)
}

// lineWanted is for how many tickets in line there is use, over all replicas.
func (l *Ledger) lineWanted() (wanted int64) {
	for _, r := range l.replicas {
		wanted += r.wantLine
	}
	return wanted
}

// lineUrges is how much the line of a replica needs a slot: the longer the more, for the slots that it
// has, or usually has.
func (r *replica) lineUrges(serves float64) float64 {
	if serves == 0 {
		return float64(r.line) / float64(r.held+1)
	}
	usual := float64(r.usual) / usualTurns
	tooMany := float64(steady*serves*serves) * (float64(r.held) - usual)
	return (float64(r.line) - float64(tooMany)) / (usual + 1) // each step rounded, as in Redis
}

// serveLine grants a slot to the first in line at the replica whose line needs one most, of those that
// reach an endpoint with room. They are before the band's offers.
func (l *Ledger) serveLine(bd *band, now time.Time) {
	serves := l.lineServes()
	for _, r := range slices.SortedStableFunc(slices.Values(l.replicas), func(a, b *replica) int {
		return cmp.Compare(b.lineUrges(serves), a.lineUrges(serves))
	}) {
		if r.line == 0 {
			continue
		}
		endpoint, full, byPermits := l.loads.choose(r, "")
		if full {
			l.wanted = l.wanted || byPermits
			continue
		}
		l.noteShort(bd)
		bd.share.Granted(bd.inFlight, bd.share.Room(bd.inFlight) > 0)
		l.hold(r, bd.priority, 1)
		r.held++
		l.held++
		r.line--
		l.inLine--
		r.postNext(bd.priority)
		if endpoint != nil {
			l.loads.suggest(r, endpoint, &r.unread[len(r.unread)-1].Message, now)
		}
		return
	}
	l.lineStuck = true
}

// line has the offers that are next stand in line at their ingresses, as long as there is use
// for more. It reports whether what stands in line at the replica is called back, and wakes
// the others where something is.
func (l *Ledger) line(r *replica, now time.Time) (recalled bool) {
	if l.recovering {
		return false
	}
	above, pass := l.passing()
	if l.inLine > 0 {
		bd := find(l.bands, l.lined)
		broken := bd == nil || !l.fills(bd) || !l.quiet(bd, now, 0)
		if broken {
			recall(l.replicas, &l.lineRecalled, now, func(other *replica) bool { return other != r && other.line > 0 })
			return r.line > 0
		}
		for _, y := range l.yields(above, pass) {
			if y.Endpoint == "" {
				recall(l.replicas, &l.lineRecalled, now, func(other *replica) bool { return other == y.from && other != r })
			}
		}
	}
	bd := l.nextLine(above, pass)
	if bd == nil || l.passedOver || !l.fills(bd) || !l.quiet(bd, now, quietFor) {
		return false
	}
	wanted := l.lineWanted()
	for l.inLine < wanted && l.lineUp(bd, now) {
	}
	return false
}

// nextLine is the band whose offers may stand in line: the highest that has any and does not
// pass, and no other than the one whose tickets do.
func (l *Ledger) nextLine(above int, pass bool) *band {
	at := slices.IndexFunc(l.bands, func(bd *band) bool { return !(pass && bd.priority > above) && bd.waits("") })
	if at < 0 || l.inLine > 0 && l.lined != l.bands[at].priority {
		return nil
	}
	return l.bands[at]
}

// fills reports whether a band's requests may take the place of any that end: nothing may be
// above its limit, and no other band's may be higher.
func (l *Ledger) fills(bd *band) bool { return bd.limit == l.most && l.occupied() <= bd.limit }

// quiet reports whether nothing waits, and nothing was offered for so long, of those that go
// before a band in line: the higher ones that do not pass, those that share with it by weights, and all that are
// guaranteed something. A group that
// is has nothing in flight either for there to be a new line.
func (l *Ledger) quiet(line *band, now time.Time, long time.Duration) bool {
	for _, c := range l.floors {
		if l.waits(c) || long > 0 && l.has(c) > 0 {
			return false
		}
	}
	above, pass := l.passing()
	return !slices.ContainsFunc(l.bands, func(bd *band) bool {
		if pass && bd.priority > above {
			return false
		}
		before := bd != line && (bd.priority > line.priority || bd.share.Slots > 0 || bd.weighed.Weight > 0 && line.weighed.Weight > 0)
		return before && (bd.waits("") || now.Sub(bd.offered) < long)
	})
}

// lineUp has the band's next offer stand in line, and reports whether it does. A policy that
// ranks by something other than service is after the order itself, and a flow or a group with
// limits of its own is counted when it is granted: they have none.
func (l *Ledger) lineUp(bd *band, now time.Time) bool {
	if !bd.waits("") {
		return false
	}
	turn := bd.next
	n, o := bd.first("")
	ingress := l.replica(o.Ticket.Ingress)
	if ingress == nil || ingress.line >= lineOver*ingress.wantLine || !n.book.countsService || l.isLimited(o, n) {
		bd.next = turn // the offer stays the next
		return false
	}
	o.granted = true
	bd.next++
	n.serve(o, 0, now)
	l.lined = bd.priority
	l.inLine++
	ingress.line++
	tell(store.Lined, ingress, o)
	return true
}

// isLimited reports whether an offer's flow, or a group that it is in, has limits of its own.
func (l *Ledger) isLimited(o *offer, n *node) bool {
	if l.limits[limited{flow: o.Flow}] != nil {
		return true
	}
	for ; n.as != nil; n = n.as.in {
		if l.limits[limited{group: n.as.id}] != nil {
			return true
		}
	}
	return false
}
