package pools

import (
	"maps"
	"slices"
	"sync"

	"github.com/weirflow/weir/coordinator"
)

// Fleet is the process's part in the fleet.
type Fleet interface {
	coordinator.Fleet
	coordinator.Broadcaster
}

// Pools shares a process's part in the fleet. It is safe for concurrent use.
type Pools struct {
	fleet   Fleet
	replica string

	// mu is held while handlers are called, so that the last word is the latest.
	mu      sync.Mutex
	pools   map[string]*Pool
	members coordinator.Members
	told    map[string]told // by the peers' ids
	up      map[string]bool // streams
}

// told is what a run of another replica has said of its pools.
type told struct {
	incarnation uint64
	pools       map[string]coordinator.Serving
}

// New starts the process's part in the fleet, for pools that come and go.
func New(fleet Fleet, replica string) *Pools {
	p := &Pools{fleet: fleet, replica: replica, pools: make(map[string]*Pool), told: make(map[string]told), up: make(map[string]bool)}
	fleet.Listen(listener{p})
	fleet.Start(handler{p})
	return p
}

// Pool returns the part in the fleet of the pool whose ledger that is. There is one at a time
// for each name; it joins when it is started.
func (p *Pools) Pool(ledger coordinator.Ledger) *Pool {
	return &Pool{Pools: p, ledger: ledger}
}

// handler receives what concerns the process from the fleet. It implements
// coordinator.Handler.
type handler struct{ *Pools }

// MembersChanged implements coordinator.Handler.
func (p handler) MembersChanged(m coordinator.Members) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = m
	maps.DeleteFunc(p.told, func(id string, _ told) bool {
		return !slices.ContainsFunc(m.Live, func(l coordinator.Member) bool { return l.ID == id })
	})
	for _, pool := range p.pools {
		pool.tell()
	}
}

// StreamChanged implements coordinator.Handler.
func (p handler) StreamChanged(peer string, up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.up[peer] = up; up {
		all := coordinator.Message{From: p.replica, To: peer, ServesAll: true}
		for _, pool := range p.pools {
			all.Serves = append(all.Serves, pool.serving())
		}
		p.fleet.Send(all)
	} else {
		delete(p.up, peer)
	}
	for _, pool := range p.pools {
		pool.handler.StreamChanged(peer, up)
	}
}

// Received implements coordinator.Handler.
func (p handler) Received(m coordinator.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.ServesAll || len(m.Serves) > 0 {
		p.hear(&m)
	} else if pool := p.pools[m.Pool]; pool != nil {
		pool.handler.Received(m)
	}
}

// hear takes in which pools another replica has.
func (p *Pools) hear(m *coordinator.Message) {
	t, known := p.told[m.From]
	if m.ServesAll || !known || t.incarnation != m.Incarnation {
		t = told{m.Incarnation, make(map[string]coordinator.Serving)}
	}
	for _, s := range m.Serves {
		if s.Ended {
			delete(t.pools, s.Pool)
		} else {
			t.pools[s.Pool] = s
		}
	}
	p.told[m.From] = t
	for name, pool := range p.pools {
		if m.ServesAll || slices.ContainsFunc(m.Serves, func(s coordinator.Serving) bool { return s.Pool == name }) {
			pool.tell()
		}
	}
}

// listener receives what other replicas see of endpoints. It implements coordinator.Listener.
type listener struct{ *Pools }

// Observed implements coordinator.Listener.
func (p listener) Observed(o coordinator.Observations) {
	p.mu.Lock()
	pool := p.pools[o.Pool]
	p.mu.Unlock()
	if pool == nil {
		return
	}
	if l := pool.listener.Load(); l != nil {
		(*l).Observed(o)
	}
}

// Live implements coordinator.Listener: each pool has members of its own.
func (listener) Live([]string) {}
