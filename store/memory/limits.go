package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// limit is the account of a flow with limits of its own, over its priorities.
type limit struct {
	max, held int64   // of requests in flight, and how many are; unread grants count
	perMinute float64 // of tokens
	level     float64 // what was left of them at the time
	at        time.Time
	seen      time.Time // when a replica last stated it
}

// left returns how many tokens are left.
func (m *limit) left(now time.Time) float64 {
	since := max(0, now.Sub(m.at))
	return min(m.perMinute, m.level+float64(since.Microseconds())*(m.perMinute/60e6))
}

// spend takes tokens away, more than are left if need be.
func (m *limit) spend(tokens float64, now time.Time) {
	m.level, m.at = m.left(now)-tokens, now
}

// open reports whether another request of the flow may go.
func (m *limit) open(now time.Time) bool {
	return (m.max == 0 || m.held < m.max) && (m.perMinute == 0 || m.left(now) > 0)
}

// restrict takes in what a replica states of flows with limits of their own.
func (l *Ledger) restrict(r *replica, s *store.Statement, now time.Time) {
	if s.Register || s.Full {
		stated := make(map[string]bool, len(s.Limited))
		for i := range s.Limited {
			stated[s.Limited[i].Flow] = true
		}
		for id := range r.limited {
			if !stated[id] {
				l.recountLimited(r, id, 0)
			}
		}
	}
	for i := range s.Limited {
		st := &s.Limited[i]
		m := l.limits[st.Flow]
		if m == nil {
			m = &limit{perMinute: st.TokensPerMinute, level: st.TokensPerMinute, at: now}
			l.limits[st.Flow] = m
		}
		if m.perMinute != st.TokensPerMinute {
			m.spend(0, now)
		}
		m.max, m.perMinute, m.seen = st.MaxInFlight, st.TokensPerMinute, now
		l.recountLimited(r, st.Flow, st.InFlight)
	}
}

// recountLimited counts a flow's requests at a replica anew: those it states, and the
// grants among its unread messages.
func (l *Ledger) recountLimited(r *replica, flow string, stated int64) {
	for i := range r.unread {
		if m := &r.unread[i]; m.Kind&store.Granted != 0 && m.Flow == flow {
			stated++
		}
	}
	if m := l.limits[flow]; m != nil {
		m.held += stated - r.limited[flow]
	}
	if stated == 0 {
		delete(r.limited, flow)
		return
	}
	if r.limited == nil {
		r.limited = make(map[string]int64)
	}
	r.limited[flow] = stated
}

// rooms is what the stated flows may still take.
func (l *Ledger) rooms(reply *store.Reply, s *store.Statement, now time.Time) {
	reply.Rooms = reply.Rooms[:0]
	for i := range s.Limited {
		st := &s.Limited[i]
		room := store.Room{Flow: st.Flow, InFlight: store.Unlimited, Tokens: 1}
		if m := l.limits[st.Flow]; m != nil {
			if m.max > 0 {
				room.InFlight = m.max - m.held
			}
			if m.perMinute > 0 {
				room.Tokens = m.left(now)
			}
		}
		reply.Rooms = append(reply.Rooms, room)
	}
}

// forgetLimits forgets accounts that say nothing any more.
func (l *Ledger) forgetLimits(now time.Time) {
	for id, m := range l.limits {
		if m.held == 0 && now.Sub(m.seen) >= time.Minute && m.left(now) >= m.perMinute {
			delete(l.limits, id)
		}
	}
}
