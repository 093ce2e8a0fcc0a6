package shard

import "slices"

// GroupStanding is what is known of a group of flows; see store.Group.
type GroupStanding struct {
	Group
	Priority           int
	Counter            float64
	Known              bool
	VirtualTime, Level float64
}

// note has the group stated to the ledger, which tells how it stands.
func (s *Set) note(g *group) {
	if !g.noted {
		g.noted = true
		s.noted = append(s.noted, g)
	}
}

// Noted hands over the groups whose standing is not known any more, or all that have
// tickets or that something is known of. They must be named again if that is not answered.
func (s *Set) Noted(all bool) (list []GroupStanding) {
	if all {
		for _, bd := range s.bands {
			bd.top.each(func(g *group) {
				if g.in != nil && (g.tickets > 0 || g.known) {
					s.note(g)
				}
			})
		}
	}
	for _, g := range s.noted {
		g.noted = false
		list = append(list, g.standsAt())
	}
	clear(s.noted)
	s.noted = s.noted[:0]
	return list
}

// Standing returns what is known of a group; nothing but its weight if it is not known.
func (s *Set) Standing(priority int, of Group) GroupStanding {
	if bd := s.find(priority); bd != nil {
		if g := bd.group(of.Path); g != nil {
			return g.standsAt()
		}
	}
	return GroupStanding{Group: of, Priority: priority}
}

func (g *group) standsAt() GroupStanding {
	return GroupStanding{Group: g.Group, Priority: g.band.priority, Counter: g.counter, Known: g.known, VirtualTime: g.v, Level: g.level}
}

// LearnGroup passes on how a group stands, as the ledger told.
func (s *Set) LearnGroup(to GroupStanding) {
	bd := s.find(to.Priority)
	if bd == nil {
		return
	}
	g := bd.group(to.Path)
	if g == nil || g.in == nil {
		return
	}
	if to.Known {
		g.counter, g.known, g.lift, g.idle = to.Counter, true, 0, false
	}
	g.learn(to.VirtualTime, to.Level)
	g.placed()
}

// learn takes over V and the level, as the ledger knows them.
func (g *group) learn(v, level float64) {
	g.level = level
	if v > g.v {
		g.v = v
		g.passed()
	}
}

// passed handles an advance of V. A standing offer that ranks below V should have been
// granted first; if it was not, its flow was served through another owner, whose tickets
// arrived earlier. Such a flow is treated as being at V: otherwise it would keep its
// places among the best offers, and flows that are really behind would not be offered. The
// same goes for a group.
func (g *group) passed() {
	var left []*group
	for _, inner := range g.groups {
		if inner.offers > 0 && inner.served() < g.v {
			left = append(left, inner)
		}
	}
	slices.SortFunc(left, byPath)
	for _, inner := range left {
		inner.lift += g.v - inner.served()
		inner.placed()
	}
	if !g.band.counts() {
		return
	}
	var behind []*flow
	for _, it := range g.offered.Items() {
		if it.state == standing && it.key < g.v && it == it.flow.offered[0] {
			behind = append(behind, it.flow)
		}
	}
	for _, f := range behind {
		f.lift += g.v - f.offered[0].key
		f.derive()
	}
}
