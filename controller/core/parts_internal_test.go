package core

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
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
				byEndpoint += ps.part(ps.self, e.Capacity, n, l.before[e.Address])
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
