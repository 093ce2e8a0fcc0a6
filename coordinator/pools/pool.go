package pools

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/weirflow/weir/coordinator"
)

// Pool is a replica's part in the fleet of one pool. It implements coordinator.Fleet and
// coordinator.Broadcaster.
type Pool struct {
	*Pools
	listener atomic.Pointer[coordinator.Listener]

	// Under the lock of Pools.
	ledger   coordinator.Ledger
	settings []coordinator.Setting
	handler  coordinator.Handler
	leaving  bool
	last     *coordinator.Members // as the handler was told; nil before
}

// serving is what the others are told of the pool.
func (p *Pool) serving() coordinator.Serving {
	return coordinator.Serving{Pool: p.ledger.Pool, Ledger: p.ledger.Identity, Leaving: p.leaving, Settings: coordinator.Prints(p.settings)}
}

// announce tells all others of the pool.
func (p *Pool) announce(s coordinator.Serving) {
	for peer := range p.up {
		p.fleet.Send(coordinator.Message{From: p.replica, To: peer, Serves: []coordinator.Serving{s}})
	}
}

// Start implements coordinator.Fleet.
func (p *Pool) Start(h coordinator.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
	p.pools[p.ledger.Pool] = p
	p.announce(p.serving())
	p.tell()
	for peer := range p.up {
		h.StreamChanged(peer, true)
	}
}

// tell tells the handler of the pool's members, if they have changed.
func (p *Pool) tell() {
	m := p.membersOf()
	if p.last != nil && m.Equal(*p.last) {
		return
	}
	p.last = &m
	p.handler.MembersChanged(m)
	if l := p.listener.Load(); l != nil {
		(*l).Live(ids(m.Live))
	}
}

func ids(members []coordinator.Member) []string {
	all := make([]string, 0, len(members))
	for i := range members {
		all = append(all, members[i].ID)
	}
	return all
}

// membersOf are the members of the fleet that have the pool, with the same ledger.
func (p *Pool) membersOf() coordinator.Members {
	m := p.members
	m.Live, m.Apart = nil, slices.Clone(m.Apart)
	for _, l := range p.members.Live {
		l.Differs = ""
		if l.ID == p.replica {
			l.Leaving = l.Leaving || p.leaving
			m.Live = append(m.Live, l)
			continue
		}
		if t, told := p.told[l.ID]; told && t.incarnation == l.Incarnation {
			s, serves := t.pools[p.ledger.Pool]
			switch {
			case !serves:
				continue
			case s.Ledger != "" && p.ledger.Identity != "" && s.Ledger != p.ledger.Identity:
				m.Apart = append(m.Apart, coordinator.Apart{ID: l.ID, Ledger: coordinator.Ledger{Identity: s.Ledger, Pool: s.Pool}})
				continue
			}
			l.Leaving = l.Leaving || s.Leaving
			l.Differs = coordinator.Differing(p.settings, s.Settings)
		}
		m.Live = append(m.Live, l)
	}
	return m
}

// Send implements coordinator.Fleet.
func (p *Pool) Send(m coordinator.Message) {
	m.Pool = p.ledger.Pool
	p.fleet.Send(m)
}

// Broadcast implements coordinator.Broadcaster.
func (p *Pool) Broadcast(o coordinator.Observations) {
	o.Pool = p.ledger.Pool
	p.fleet.Broadcast(o)
}

// Listen implements coordinator.Broadcaster.
func (p *Pool) Listen(l coordinator.Listener) {
	p.listener.Store(&l)
	p.mu.Lock()
	defer p.mu.Unlock()
	l.Live(ids(p.membersOf().Live))
}

// Retire implements coordinator.Fleet.
func (p *Pool) Retire() { p.change(func() { p.leaving = true }) }

// Ledger implements coordinator.Fleet.
func (p *Pool) Ledger() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledger.Identity
}

// SetLedger implements coordinator.Fleet.
func (p *Pool) SetLedger(identity string) { p.change(func() { p.ledger.Identity = identity }) }

// SetSettings replaces the pool's settings at this replica.
func (p *Pool) SetSettings(settings []coordinator.Setting) {
	p.change(func() { p.settings = settings })
}

// change changes what the others are told of the pool, and tells them.
func (p *Pool) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.serving()
	do()
	if p.handler == nil || p.serving() == before {
		return
	}
	p.announce(p.serving())
	p.tell()
}

// Leave implements coordinator.Fleet. The process stays in the fleet.
func (p *Pool) Leave(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pools[p.ledger.Pool] == p {
		delete(p.pools, p.ledger.Pool)
		p.announce(coordinator.Serving{Pool: p.ledger.Pool, Ended: true})
	}
	return nil
}
