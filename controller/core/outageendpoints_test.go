package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/store/memory"
)

// losers are replicas that may lose their ledger.
type losers struct {
	now     time.Time
	ledger  *memory.Ledger
	cores   []*core.Core
	members coordinator.Members
}

func newLosers(replicas int) *losers {
	l := &losers{now: time.Unix(1_800_000_000, 0)}
	l.ledger = memory.New(memory.Config{Clock: func() time.Time { return l.now }})
	for i := range replicas {
		id := fmt.Sprint("r", i)
		l.members.Live = append(l.members.Live, coordinator.Member{ID: id, Incarnation: 1, Leaseholder: true})
		cfg := configured(fairness.NewRoundRobin("rr"))
		cfg.Replica = id
		l.cores = append(l.cores, core.New(cfg))
	}
	return l
}

// list has a replica list these endpoints, and no others.
func (l *losers) list(replica int, endpoints ...core.Endpoint) {
	limit := int64(0)
	for _, e := range endpoints {
		limit += e.Capacity
	}
	l.cores[replica].SetPool(l.now, core.Pool{Endpoints: len(endpoints), Limit: limit})
	l.cores[replica].SetEndpoints(l.now, endpoints)
}

// pass lets time pass, in which no turn is answered if the ledger is lost.
func (l *losers) pass(d time.Duration, lost bool) {
	for range 3 {
		l.now = l.now.Add(d / 3)
		for _, c := range l.cores {
			c.SetMembers(l.now, l.members)
			c.Tick(l.now)
			for ready, n := c.Ready(l.now), 0; ready.Turn != nil && n < 5; ready, n = c.Ready(l.now), n+1 {
				if lost {
					c.TurnDone(l.now, nil, errors.New("lost"))
					continue
				}
				reply, err := l.ledger.Turn(context.Background(), ready.Turn)
				c.TurnDone(l.now, reply, err)
			}
		}
	}
}

// flood has ten requests come to each replica, and returns which went, by replica.
func (l *losers) flood(t *testing.T) (went [][]core.Decision) {
	t.Helper()
	for i, c := range l.cores {
		if c.LedgerState() != core.Outage {
			t.Fatalf("r%d is %s", i, c.LedgerState())
		}
		for seq := range 10 {
			c.Enqueue(l.now, core.Request{Seq: uint64(seq + 1), Flow: policies.FlowKey{ID: fmt.Sprint("of-", i)}})
		}
		went = append(went, append([]core.Decision(nil), c.Ready(l.now).Decisions...))
	}
	return went
}

// at counts requests by their endpoints.
func at(went [][]core.Decision) map[string]int {
	at := make(map[string]int)
	for _, decisions := range went {
		for i := range decisions {
			at[decisions[i].Endpoint]++
		}
	}
	return at
}

var (
	serverX = core.Endpoint{Address: "x", Capacity: 4}
	serverY = core.Endpoint{Address: "y", Capacity: 4}
	serverZ = core.Endpoint{Address: "z", Capacity: 5}
)

// TestOutageSharesEndpoints takes the ledger from three replicas: together they have no more
// at an endpoint than it takes, and all of it.
func TestOutageSharesEndpoints(t *testing.T) {
	l := newLosers(3)
	for i := range l.cores {
		l.list(i, serverX, serverY, serverZ)
	}
	l.pass(3*time.Second, false) // all know of each other that they hold leases
	l.pass(time.Second, true)
	went := l.flood(t)
	for i, decisions := range went {
		last := &decisions[len(decisions)-1]
		for _, elsewhere := range []string{"x", "y", "z"} {
			if elsewhere != last.Endpoint && l.cores[i].MayPlace(l.now, last.Ticket.Seq, elsewhere) {
				t.Errorf("at r%d a request may go to %s beyond its share", i, elsewhere)
			}
		}
	}
	if at := at(went); at["x"] != 4 || at["y"] != 4 || at["z"] != 5 {
		t.Errorf("three replicas without the ledger have %v at the endpoints, want 4, 4 and 5", at)
	}
}

// TestOutageSharesWhatIsListedAgain drains an endpoint, which is the only one that the first replica has, and
// lists it again while the ledger is lost: all deal it alike, whatever they listed meanwhile.
func TestOutageSharesWhatIsListedAgain(t *testing.T) {
	for _, address := range []string{"u", "v", "w", "x"} { // whose share it is depends on the address
		x := core.Endpoint{Address: address, Capacity: 1}
		l := newLosers(3)
		l.list(0, x)
		l.list(1, x, serverY, serverZ)
		l.list(2, x, serverY, serverZ)
		l.pass(3*time.Second, false)
		l.list(0)
		l.list(1, serverY, serverZ)
		l.list(2, serverY, serverZ)
		l.pass(3*time.Second, false)
		l.pass(time.Second, true)
		l.list(0, x)
		l.list(1, x, serverY, serverZ)
		l.list(2, x, serverY, serverZ)
		l.pass(time.Second, true)
		if at := at(l.flood(t)); at[address] > 1 || at["y"] > 4 || at["z"] > 5 {
			t.Errorf("three replicas without the ledger have %v at the endpoints, which take 1, 4 and 5", at)
		}
	}
}
