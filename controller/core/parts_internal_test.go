package core

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
)

// TestParts cuts some replicas of a fleet off from the ledger. What these take by themselves, each
// as it knows the fleet, and what the others leave them make the limit together, at most; and the
// whole of it where all are cut off. It is dealt by endpoint, or as one number.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "replicas")
		lost := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "lost")
		var endpoints []Endpoint
		limit := int64(0)
		for i, takes := range rapid.SliceOfN(rapid.Int64Range(1, 9), 1, 5).Draw(t, "endpoints") {
			endpoints = append(endpoints, Endpoint{Address: fmt.Sprint("e", i), Capacity: takes})
			limit += takes
		}
		var lostHave, leave, lostCount int64
		leave = limit
		for i := range n {
			cfg := &Config{Replica: fmt.Sprint("r", i), InFleet: true}
			ps := newPeers(cfg)
			for k := range n {
				if k != i {
					p := ps.of(fmt.Sprint("r", k))
					p.live, p.holder, p.lost = true, true, lost[k]
				}
			}
			if !lost[i] {
				b := &bands{}
				b.totals.Members = n
				h := &handover{cfg: cfg, fleet: ps, bands: b, exchange: &exchange{}}
				leave = min(leave, h.left(limit))
				continue
			}
			lostCount++
			l := newLoads(cfg, &agenda{})
			l.list(endpoints)
			byEndpoint := int64(0)
			for _, e := range endpoints {
				takes, dealt := l.dealt(e.Address)
				byEndpoint += ps.part(ps.self, takes, n, dealt)
			}
			asOne := ps.part(ps.self, limit, n, 0)
			if byEndpoint != asOne {
				t.Fatalf("r%d has %d by endpoint and %d of the pool", i, byEndpoint, asOne)
			}
			lostHave += asOne
		}
		switch {
		case lostCount == int64(n) && lostHave != limit:
			t.Fatalf("all are cut off, and have %d of %d", lostHave, limit)
		case lostCount < int64(n) && lostHave+leave > limit:
			t.Fatalf("%d of %d are cut off and have %d, the others leave themselves %d of %d", lostCount, n, lostHave, leave, limit)
		}
	})
}

// TestPartsOfEndpoints cuts all replicas of a fleet off from the ledger, each of which reaches some of
// the endpoints and says of these what they take: no endpoint has more than the least of that.
func TestPartsOfEndpoints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "replicas")
		names := []string{"e0", "e1", "e2", "e3"}
		lists, told := make([][]Endpoint, n), make(map[string]int64)
		for i := range lists {
			for _, e := range names {
				if takes := rapid.Int64Range(-3, 5).Draw(t, fmt.Sprintf("r%d says of %s", i, e)); takes > 0 {
					lists[i] = append(lists[i], Endpoint{Address: e, Capacity: takes})
					if least, known := told[e]; !known || takes < least {
						told[e] = takes
					}
				}
			}
		}
		reply := &store.Reply{}
		for _, e := range slices.Sorted(maps.Keys(told)) {
			reply.Loads = append(reply.Loads, store.Load{Endpoint: e, Capacity: told[e]})
		}
		have := make(map[string]int64)
		for i := range n {
			ps := newPeers(&Config{Replica: fmt.Sprint("r", i), InFleet: true})
			for k := range n {
				if k != i {
					p := ps.of(fmt.Sprint("r", k))
					p.live, p.holder, p.lost = true, true, true
				}
			}
			l := newLoads(&Config{}, &agenda{})
			l.list(lists[i])
			l.learn(time.Time{}, &store.Statement{WantLoads: true}, reply)
			l.lost(time.Time{})
			for _, e := range lists[i] {
				takes, dealt := l.dealt(e.Address)
				have[e.Address] += ps.part(ps.self, takes, n, dealt)
			}
		}
		for e, takes := range told {
			if have[e] > takes {
				t.Fatalf("the replicas have %d at %s, which takes %d", have[e], e, takes)
			}
		}
	})
}
