package memory

import (
	"math"
	"strings"
	"time"

	"github.com/weirflow/weir/store"
)

// limited names what has a limit of its own: a flow, or a group by its path.
type limited struct{ flow, group string }

// limit is the account of a flow with limits of its own, or of a group with a maximum or a
// guarantee, over its priorities.
type limit struct {
	max, held int64   // of requests in flight, and how many are; unread grants count
	perMinute float64 // of tokens
	level     float64 // what was left of them at the time
	at        time.Time
	seen      time.Time // when a replica last stated it
	share     store.Guarantee
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

// open reports whether another request of the flow or the group may go.
func (m *limit) open(now time.Time) bool {
	return (m.max == 0 || m.held < m.max) && (m.perMinute == 0 || m.left(now) > 0)
}

// restrict takes in what a replica states of flows and groups with limits of their own.
func (l *Ledger) restrict(r *replica, s *store.Statement, now time.Time) {
	if s.Register || s.Full {
		stated := make(map[limited]bool, len(s.Limited))
		for i := range s.Limited {
			stated[limited{s.Limited[i].Flow, s.Limited[i].Group}] = true
		}
		for id := range r.limited {
			if !stated[id] {
				l.recountLimited(r, id, 0)
			}
		}
	}
	for i := range s.Limited {
		st := &s.Limited[i]
		id := limited{st.Flow, st.Group}
		m := l.limits[id]
		if m == nil {
			m = &limit{perMinute: st.TokensPerMinute, level: st.TokensPerMinute, at: now}
			l.limits[id] = m
		}
		if m.perMinute != st.TokensPerMinute {
			m.spend(0, now)
		}
		m.max, m.perMinute, m.seen = st.MaxInFlight, st.TokensPerMinute, now
		if st.MaxSlots > 0 {
			m.max = max(1, int64(math.Floor(l.loads.ofFleet(st.MaxSlots, s.Capacity))))
		}
		if st.Guaranteed != store.NoOpinion && id.group != "" {
			l.guarantee(id.group, &m.share, l.loads.ofFleet(st.Guaranteed, s.Capacity))
		}
		if m.share.Slots > 0 && s.Register && m.share.Owed == 0 {
			m.share.Owed = st.Owed
		}
		byFloat := st.InFlight > r.limited[id]
		l.recountLimited(r, id, st.InFlight)
		if byFloat && m.share.Slots > 0 {
			m.share.Granted(l.inFlight(id)-1, false)
		}
	}
}

// recountLimited counts the requests of a flow or a group at a replica anew: those it
// states, and the grants among its unread messages.
func (l *Ledger) recountLimited(r *replica, id limited, stated int64) {
	for i := range r.unread {
		if m := &r.unread[i]; m.Kind&store.Granted != 0 && id.has(m.Flow, m.Group) {
			stated++
		}
	}
	l.holdLimited(r, id, stated-r.limited[id])
}

// holdLimited counts more or fewer of them.
func (l *Ledger) holdLimited(r *replica, id limited, n int64) {
	l.countLimited(id, n)
	if r.limited == nil {
		r.limited = make(map[limited]int64)
	}
	if r.limited[id] += n; r.limited[id] == 0 {
		delete(r.limited, id)
	}
}

// countLimited does so in the fleet, and notes whether a group is at its maximum.
func (l *Ledger) countLimited(id limited, n int64) {
	m := l.limits[id]
	if m == nil {
		return
	}
	if m.held += n; id.group != "" && m.max > 0 && m.held >= m.max {
		l.full[id.group] = true
	} else {
		delete(l.full, id.group)
	}
}

// inFlight is how many of them there are, without those of lost replicas: whether these are
// still there is not known.
func (l *Ledger) inFlight(id limited) int64 {
	m := l.limits[id]
	if m == nil {
		return 0
	}
	n := m.held
	for _, r := range l.lost {
		n -= r.limited[id]
	}
	return n
}

// has reports whether a request of a flow that is in the group of that path counts.
func (id limited) has(flow, group string) bool {
	if id.group == "" {
		return id.flow == flow
	}
	return within(group, id.group)
}

// within reports whether a group is that of the path, or in it.
func within(group, path string) bool {
	return group == path || strings.HasPrefix(group, path+"/")
}

// rooms is what the stated flows and groups may still take.
func (l *Ledger) rooms(reply *store.Reply, s *store.Statement, now time.Time) {
	reply.Rooms = reply.Rooms[:0]
	for i := range s.Limited {
		st := &s.Limited[i]
		room := store.Room{Flow: st.Flow, Group: st.Group, InFlight: store.Unlimited, Tokens: 1}
		if m := l.limits[limited{st.Flow, st.Group}]; m != nil {
			if m.max > 0 {
				room.InFlight = m.max - m.held
			}
			if m.perMinute > 0 {
				room.Tokens = m.left(now)
			}
			room.Guaranteed, room.Owed, room.Got, room.Below = m.share.Slots, m.share.Owed, m.share.Got, m.share.Below
		}
		reply.Rooms = append(reply.Rooms, room)
	}
}

// forgetLimits forgets accounts that say nothing any more.
func (l *Ledger) forgetLimits(now time.Time) {
	for id, m := range l.limits {
		if m.held == 0 && now.Sub(m.seen) >= time.Minute && m.left(now) >= m.perMinute {
			l.guarantee(id.group, &m.share, 0)
			delete(l.limits, id)
		}
	}
}
