package storetest

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/store"
)

// Invariants draws a random load on two replicas and checks after every round
// what must hold: the limit is kept, a higher band goes first, capacity is never
// left free while an offer stands, and backlogged flows are served for their
// weights.
func Invariants(t *rapid.T, ledger store.Ledger) {
	limit := int64(rapid.IntRange(1, 5).Draw(t, "limit"))
	w := &world{t: t, limit: limit, charge: map[string]float64{}, standing: map[string]int{}, service: map[string]float64{}}
	for i := range 2 {
		w.parties = append(w.parties, newParty(t, ledger, fmt.Sprint("r", i), counting(5, 0), counting(0, 0)))
	}
	for _, flow := range backlogged {
		w.charge[flow] = 1 / float64(rapid.IntRange(1, 4).Draw(t, "weight"))
	}
	w.charge["urgent"] = 1
	// All flows are backlogged before the pool opens, so that they start level.
	first := map[*party][]store.Offer{}
	for _, flow := range backlogged {
		w.offerAt(first, w.parties[0], flow)
	}
	w.parties[0].turn(func(s *store.Statement) { s.Offers = first[w.parties[0]] })
	w.round()
	for _, p := range w.parties {
		p.bands[0].Limit, p.bands[1].Limit = limit, limit
	}
	for range rapid.IntRange(1, 40).Draw(t, "rounds") {
		w.step()
	}
}

// backlogged are the flows of the lower band that always have offers standing.
var backlogged = []string{"a", "b", "c"}

type world struct {
	t        *rapid.T
	parties  []*party
	limit    int64
	charge   map[string]float64
	standing map[string]int // offers that stand, by flow
	service  map[string]float64
	tickets  int
}

// offerAt puts an offer of the flow before the ledger, in the party's next turn.
func (w *world) offerAt(offers map[*party][]store.Offer, p *party, flow string) {
	w.tickets++
	o := store.Offer{Ticket: p.ticket(w.tickets), Flow: flow, Charge: w.charge[flow], Score: float64(w.tickets)}
	if flow == "urgent" {
		o.Priority = 5
	}
	offers[p] = append(offers[p], o)
	w.standing[flow]++
}

// step ends some requests, offers some, and checks the round that follows.
func (w *world) step() {
	offers := map[*party][]store.Offer{}
	for _, flow := range backlogged {
		for w.standing[flow] < int(w.limit)+2 { // more than one round can grant
			w.offerAt(offers, rapid.SampledFrom(w.parties).Draw(w.t, "owner"), flow)
		}
	}
	for range rapid.IntRange(0, 2).Draw(w.t, "urgent") { // some rounds have none
		w.offerAt(offers, rapid.SampledFrom(w.parties).Draw(w.t, "owner"), "urgent")
	}
	for _, p := range w.parties { // offers first, while nothing has ended
		p.turn(func(s *store.Statement) { s.Offers = offers[p] })
	}
	w.round()
	for _, p := range w.parties {
		for i := range p.bands {
			p.bands[i].InFlight -= int64(rapid.IntRange(0, int(p.bands[i].InFlight)).Draw(w.t, "ended"))
		}
	}
	urgent := w.standing["urgent"]
	low := w.round()
	if urgent > 0 && w.standing["urgent"] > 0 && low > 0 {
		w.t.Fatalf("priority: %d of the lower band were granted while %d of the higher stood", low, w.standing["urgent"])
	}
	held := int64(0)
	for _, p := range w.parties {
		held += p.bands[0].InFlight + p.bands[1].InFlight
	}
	if held > w.limit {
		w.t.Fatalf("capacity: %d in flight, the limit is %d", held, w.limit)
	}
	if held < w.limit {
		w.t.Fatalf("work conserving: %d in flight of %d while offers stand", held, w.limit)
	}
	for _, f := range backlogged {
		for _, g := range backlogged {
			if gap := w.service[f] - w.service[g]; gap > w.charge[f]+w.charge[g]+1e-9 {
				w.t.Fatalf("fairness: flow %s is %.2f ahead of %s, more than one charge of each", f, gap, g)
			}
		}
	}
}

// round has the replicas take turns until two turns of each brought nothing, for
// one may grant what another has to read. It returns how many of the lower band
// were granted.
func (w *world) round() (low int) {
	for quiet := 0; quiet < 2*len(w.parties); {
		for _, p := range w.parties {
			p.turn(nil)
			if quiet++; len(p.granted) > 0 {
				quiet = 0
			}
			for _, grant := range p.granted {
				flow, _, _ := strings.Cut(grant, "/")
				w.standing[flow]--
				w.service[flow] += w.charge[flow]
				if flow != "urgent" {
					low++
				}
			}
			p.granted = nil
		}
	}
	return low
}
