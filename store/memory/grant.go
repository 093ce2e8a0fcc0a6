package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// grant gives out what capacity there is: the highest band first, in a band the
// lowest rank, and no band below one that still waits.
func (l *Ledger) grant(now time.Time) {
	if l.recovering {
		if len(l.replicas) < l.expected && now.Before(l.recovered) {
			return
		}
		l.recovering = false
	}
	for _, bd := range l.bands {
		for bd.offers > 0 && l.held < bd.limit {
			b, o := bd.first()
			m := l.limits[o.Flow]
			if m != nil && !m.open(now) {
				l.remove(o, now)
				o.owner.post(store.AtLimit, o)
				continue
			}
			ingress := l.replica(o.Ticket.Ingress)
			o.granted = true
			if ingress == nil {
				b.leave(o, now)
				o.owner.post(store.Dropped, o)
				continue
			}
			bd.next++
			b.serve(o, now)
			ingress.held++
			l.held++
			if m != nil {
				m.held++
				m.spend(o.Tokens, now)
				if ingress.limited == nil {
					ingress.limited = make(map[string]int64)
				}
				ingress.limited[o.Flow]++
			}
			if ingress == o.owner {
				ingress.post(store.Granted|store.Taken, o)
			} else {
				ingress.post(store.Granted, o)
				o.owner.post(store.Taken, o)
			}
			l.loads.suggest(ingress, &ingress.unread[len(ingress.unread)-1].Message, now)
		}
		if bd.offers > 0 {
			return
		}
	}
}
