package core

import (
	"math"
	"time"

	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// guarantees is what priorities are guaranteed of the pool. The ledger keeps the accounts, and
// this replica remembers what it said, for a ledger that forgot. In an outage it keeps
// accounts of its own, and chooses by them as the ledger does.
type guarantees struct {
	bystander
	cfg   *Config
	bands *bands

	ledgers map[int]store.Guarantee  // the ledger's accounts as it last told, of what is guaranteed something
	own     map[int]*store.Guarantee // this replica's; nil but in an outage
	passed  time.Time                // until when those say what happened
}

func newGuarantees(cfg *Config, bs *bands) guarantees {
	return guarantees{cfg: cfg, bands: bs, ledgers: make(map[int]store.Guarantee)}
}

// slots is what a priority is guaranteed of so many slots.
func (g *guarantees) slots(priority int, of int64) float64 {
	if g.cfg.Guaranteed == nil || of <= 0 || of >= store.Unlimited {
		return 0
	}
	const exact = 1e6 // thirds of a pool are not
	return math.Round(g.cfg.Guaranteed(priority)*float64(of)*exact) / exact
}

// pass accounts for the time of an outage since this was last called. That many slots of
// the pool are this replica's.
func (g *guarantees) pass(now time.Time, own int64) {
	for b := range g.bands.queues.set.Bands() {
		slots := g.slots(b.Priority(), own)
		if slots == 0 {
			delete(g.own, b.Priority())
			continue
		}
		account := g.own[b.Priority()]
		if account == nil {
			account = &store.Guarantee{}
			g.own[b.Priority()] = account
		}
		account.Slots = slots
		account.Pass(now.Sub(g.passed), b.Capacity().InFlight, b.Waits())
	}
	g.passed = now
}

// next is the band that goes next in an outage, as the ledger chooses, and whether a
// request is due to it; none waits if it is not found.
func (g *guarantees) next() (next shard.Band, due, found bool) {
	for b := range g.bands.queues.set.Bands() { // highest priority first
		if !b.Waits() {
			continue
		}
		account := g.own[b.Priority()]
		if account == nil || account.Room(b.Capacity().InFlight) == 0 {
			if !found {
				next, found = b, true
			}
			continue
		}
		if !due || account.Before(b.Capacity().InFlight, g.own[next.Priority()], next.Capacity().InFlight) {
			next, due, found = b, true, true
		}
	}
	return next, due, found
}

// granted takes in that a request of the band goes in an outage.
func (g *guarantees) granted(b shard.Band, due bool) {
	if account := g.own[b.Priority()]; account != nil {
		account.Granted(b.Capacity().InFlight, due)
	}
}

// The guarantees are a participant; they come after the bands.

// state states what is guaranteed, of what is left to those who have the ledger.
func (g *guarantees) state(_ time.Time, st *store.Statement) {
	for i := range st.Bands {
		b := &st.Bands[i]
		b.Guaranteed = g.slots(b.Priority, g.bands.left(g.bands.limit()))
		if st.Register {
			b.Owed = g.ledgers[b.Priority].Owed
		}
	}
}

func (g *guarantees) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	for i := range r.Bands {
		b := &r.Bands[i]
		if b.Guaranteed == 0 {
			delete(g.ledgers, b.Priority)
			continue
		}
		g.ledgers[b.Priority] = store.Guarantee{Slots: b.Guaranteed, Owed: b.Owed, Got: b.Got, Below: b.Below}
	}
}

func (g *guarantees) lost(now time.Time) { g.own, g.passed = make(map[int]*store.Guarantee), now }

func (g *guarantees) regained(time.Time) { g.own = nil }
