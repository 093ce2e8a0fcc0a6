package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/policytest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
	"github.com/weirflow/weir/store/redis"
)

// bus connects the replicas of one test to each other: what is sent arrives at once.
type bus struct {
	mu       sync.Mutex
	handlers map[string]coordinator.Handler
	members  []coordinator.Member
}

// link is one replica's end of the bus. It implements coordinator.Fleet.
type link struct {
	*bus
	id string
}

func (l link) Start(h coordinator.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[l.id] = h
	h.MembersChanged(coordinator.Members{Live: l.members})
	for id, other := range l.handlers {
		if id != l.id {
			h.StreamChanged(id, true)
			other.StreamChanged(l.id, true)
		}
	}
}

func (link) Ledger() string { return "" }

func (link) SetLedger(string) {}

func (l link) Send(m coordinator.Message) {
	l.mu.Lock()
	h := l.handlers[m.To]
	l.mu.Unlock()
	if h != nil {
		h.Received(m)
	}
}

func (l link) Retire() {}

func (l link) Leave(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.handlers, l.id)
	return nil
}

// teamLease is long beside what a machine that has much else to do does not get to: nobody is taken for
// gone, and no ledger for lost.
const teamLease = time.Minute

// ledgers are the ledgers that the contract is to hold over.
var ledgers = map[string]func(*testing.T, int) []store.Ledger{
	"memory": func(_ *testing.T, replicas int) []store.Ledger {
		l := memory.New(memory.Config{Timings: store.Timings{Lease: teamLease}})
		return slices.Repeat([]store.Ledger{l}, replicas)
	},
	"redis": func(t *testing.T, replicas int) []store.Ledger {
		server := redistest.Start(t)
		ls := make([]store.Ledger, replicas)
		for i := range ls {
			l, err := redis.Open(t.Context(), redis.Config{URL: server.URL(), Pool: "contract", Timeout: teamLease, Timings: store.Timings{Lease: teamLease}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			ls[i] = l
		}
		return ls
	},
}

// team is replicas that share a pool of one slot.
type team struct {
	t        *testing.T
	replicas []*Controller
	held     *Request
	mu       sync.Mutex
	order    []string
	clients  sync.WaitGroup
}

// newTeam starts replicas over ledgers of that kind and takes the pool's only slot, which may be at
// either of two endpoints: it is the ledger's to give again once it is free. At a single endpoint
// requests stand in line where turns are slow, as they are on a machine with little time, and whoever
// is first at the replica that has the slot goes.
func newTeam(t *testing.T, kind string, replicas int, opts ...Option) *team {
	t.Helper()
	b := &bus{handlers: make(map[string]coordinator.Handler)}
	for i := range replicas {
		b.members = append(b.members, coordinator.Member{ID: fmt.Sprint("r", i), Incarnation: 1})
	}
	m := &team{t: t, held: request("held")}
	for i, l := range ledgers[kind](t, replicas) {
		c, err := NewController(l, append([]Option{
			WithReplica(fmt.Sprint("r", i)), WithIncarnation(1), WithLimit(1), WithFleet(link{b, fmt.Sprint("r", i)}), WithTTL(time.Hour, time.Hour),
			WithLease(teamLease), WithTurnTimeout(teamLease / 3), WithStoreOutage(core.Share, teamLease),
		}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		c.Observe(t.Context(), []policies.EndpointAccessor{policytest.Endpoint{Name: "a"}, policytest.Endpoint{Name: "b"}})
		m.replicas = append(m.replicas, c)
	}
	m.until(func(all []core.View) string { // or flows change their owners while they wait
		for _, v := range all {
			if members := v.Shards.Members(); len(members) < replicas {
				return fmt.Sprintf("%s draws the shards for %v only", v.Replica, members)
			}
		}
		return ""
	})
	dispatch(t, m.replicas[0], m.held)
	return m
}

// until waits until nothing is missing in the replicas' views.
func (m *team) until(missing func([]core.View) string) {
	m.t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		var all []core.View
		for _, c := range m.replicas {
			v, err := c.View(m.t.Context())
			if err != nil {
				m.t.Fatal(err)
			}
			all = append(all, v)
		}
		lacks := missing(all)
		if lacks == "" {
			return
		}
		if time.Since(began) > time.Minute {
			m.t.Fatal(lacks)
		}
	}
}

// ask has a client ask for the slot by a replica and give it back at once; which says
// how its dispatch is noted.
func (m *team) ask(replica int, r *Request, which string) {
	c := m.replicas[replica%len(m.replicas)]
	m.clients.Go(func() {
		if outcome, err := c.EnqueueAndWait(context.Background(), r); outcome != Dispatched {
			m.t.Errorf("%s: %v, %v", which, outcome, err)
			return
		}
		m.mu.Lock()
		m.order = append(m.order, which)
		m.mu.Unlock()
		c.Release(r, Usage{})
	})
}

// settled waits until so many requests wait in the replicas' queues and the ledger has
// been told of them.
func (m *team) settled(want int64) {
	m.t.Helper()
	m.until(func(all []core.View) string {
		var queued int64
		for _, v := range all {
			for _, b := range v.Bands {
				queued += b.Queued
			}
			if v.Totals.Queued != want {
				return fmt.Sprintf("the ledger tells %s of %d requests that wait, want %d", v.Replica, v.Totals.Queued, want)
			}
		}
		if queued != want {
			return fmt.Sprintf("%d requests are queued, want %d", queued, want)
		}
		return ""
	})
	time.Sleep(100 * time.Millisecond)
}

// finish gives the slot up and returns the order in which all were dispatched.
func (m *team) finish() []string {
	m.replicas[0].Release(m.held, Usage{})
	m.clients.Wait()
	return m.order
}
