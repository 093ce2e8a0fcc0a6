package core

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// guarantees is what priorities and groups are guaranteed of the pool. The ledger keeps the
// accounts, and this replica remembers what it said, for a ledger that forgot. In an outage it
// keeps accounts of its own, and chooses by them as the ledger does.
type guarantees struct {
	bystander
	cfg    *Config
	bands  *bands
	maxima *maxima // which count what groups have in flight
	took   *durations

	ledgers map[class]store.Guarantee  // the ledger's accounts as it last told, of what is guaranteed something
	own     map[class]*store.Guarantee // this replica's; nil but in an outage
	weighed map[int]*store.Weighed     // and those of bands by their weights
	passed  time.Time                  // until when those say what happened
}

// class is what may be guaranteed something: a priority, or a group over all priorities, by
// its path.
type class struct {
	priority int
	group    string
}

func newGuarantees(cfg *Config, bs *bands, x *maxima, took *durations) guarantees {
	return guarantees{cfg: cfg, bands: bs, maxima: x, took: took, ledgers: make(map[class]store.Guarantee)}
}

// slots is what a class is guaranteed of so many slots.
func (g *guarantees) slots(c class, of int64) float64 {
	part := g.cfg.Shard.Guaranteed[c.group]
	if c.group == "" && g.cfg.Guaranteed != nil {
		part = g.cfg.Guaranteed(c.priority)
	}
	if of <= 0 || of >= store.Unlimited {
		return 0
	}
	const exact = 1e6 // thirds of a pool are not
	return math.Round(part*float64(of)*exact) / exact
}

// classes are those that may be guaranteed something: the bands, the highest first, and the
// groups, by their paths.
func (g *guarantees) classes() (all []class) {
	for b := range g.bands.queues.set.Bands() {
		all = append(all, class{priority: b.Priority()})
	}
	for _, path := range slices.Sorted(maps.Keys(g.cfg.Shard.Guaranteed)) {
		all = append(all, class{group: path})
	}
	return all
}

// has is how many requests of a class this replica has in flight.
func (g *guarantees) has(c class) int64 {
	if c.group != "" {
		return g.maxima.inFlight[c.group]
	}
	return g.bands.queues.set.InFlight(c.priority)
}

// first is the highest band in which a ticket of the class waits.
func (g *guarantees) first(c class) (first shard.Band, waits bool) {
	for b := range g.bands.queues.set.Bands() { // highest priority first
		if (c.group != "" || b.Priority() == c.priority) && b.Waits(c.group) {
			return b, true
		}
	}
	return first, false
}

// pass accounts for the time of an outage since this was last called. That many slots of
// the pool are this replica's; fits reports whether a band may have one that ends, by its own
// limit.
func (g *guarantees) pass(now time.Time, own int64, fits func(shard.Band) bool) {
	wanted := g.bands.queues.set.Len() > 0
	for _, c := range g.classes() {
		slots := g.slots(c, own)
		if slots == 0 {
			delete(g.own, c)
			continue
		}
		account := g.own[c]
		if account == nil {
			account = &store.Guarantee{}
			g.own[c] = account
		}
		account.Slots = slots
		_, waits := g.first(c)
		account.Pass(now.Sub(g.passed), g.has(c), waits, wanted)
	}
	_, weighing := g.weighing(fits)
	store.PassWeighed(weighing, now.Sub(g.passed))
	g.passed = now
}

// weighing is the bands, the highest first, as they are weighed against each other in an
// outage.
func (g *guarantees) weighing(fits func(shard.Band) bool) (bands []shard.Band, weighing []store.Weighing) {
	for b := range g.bands.queues.set.Bands() {
		account := g.weighed[b.Priority()]
		if account == nil {
			account = &store.Weighed{}
			g.weighed[b.Priority()] = account
		}
		if weight := g.bands.weight(b.Priority()); weight != account.Weight {
			account.Reweigh(weight)
		}
		bands = append(bands, b)
		weighing = append(weighing, store.Weighing{Weighed: account, InFlight: b.Capacity().InFlight, Waits: b.Waits(""), Fits: fits(b)})
	}
	return bands, weighing
}

// next is what goes next in an outage, as the ledger chooses: the band, and the class to which
// a request of it is due; nil for none. Nothing waits if no band is found. fits reports whether
// a band has room under its own limit. Of what is due to a
// group, what is due within it goes first.
func (g *guarantees) next(fits func(shard.Band) bool) (next shard.Band, due *class, found bool) {
	classes := g.classes()
	for inner := g.firstDue(classes, ""); inner != nil; inner = g.firstDue(classes, due.group) {
		if due = inner; due.group == "" {
			break
		}
	}
	if due != nil {
		next, _ = g.first(*due)
		return next, due, true
	}
	bands, weighing := g.weighing(fits)
	if at := store.NextByWeight(weighing, g.foresight()); at >= 0 {
		return bands[at], nil, true
	}
	return next, nil, false
}

// firstDue is which of the classes is due something first, of all or of the groups in one; nil
// for none.
func (g *guarantees) firstDue(classes []class, outer string) (first *class) {
	for _, c := range classes {
		account := g.own[c]
		if outer != "" && !strings.HasPrefix(c.group, outer+"/") || account == nil || account.Room(g.has(c)) == 0 {
			continue
		}
		if _, waits := g.first(c); waits && (first == nil || account.Before(g.has(c), g.own[*first], g.has(*first))) {
			first = &c
		}
	}
	return first
}

// foresight is for how long a request that goes now is taken to hold its slot.
func (g *guarantees) foresight() time.Duration {
	return store.Foresight(max(g.took.longest[0], g.took.longest[1]))
}

// granted takes in that a request of the band goes in an outage, in the group of that path,
// before it counts; due is set if it goes by a guarantee. fits is as for next.
func (g *guarantees) granted(b shard.Band, path string, due bool, fits func(shard.Band) bool) {
	if due {
		bands, weighing := g.weighing(fits)
		at := slices.IndexFunc(bands, func(other shard.Band) bool { return other.Priority() == b.Priority() })
		store.GrantDue(weighing, at, g.foresight())
	}
	note := func(c class) {
		if account := g.own[c]; account != nil {
			account.Granted(g.has(c), account.Room(g.has(c)) > 0)
		}
	}
	note(class{priority: b.Priority()})
	for outer := range shard.Around(path) {
		note(class{group: outer})
	}
}

// The guarantees are a participant; they come after the bands and the maxima.

// state states what is guaranteed, of what is left to those who have the ledger.
func (g *guarantees) state(_ time.Time, st *store.Statement) {
	of := g.bands.left(g.bands.limit())
	for i := range st.Bands {
		b := &st.Bands[i]
		c := class{priority: b.Priority}
		b.Guaranteed = g.slots(c, of)
		if st.Register {
			b.Owed = g.ledgers[c].Owed
		}
	}
	for i := range st.Limited {
		l := &st.Limited[i]
		if l.Group == "" {
			continue
		}
		c := class{group: l.Group}
		if l.Guaranteed = g.slots(c, of); l.Guaranteed == 0 && g.cfg.Shard.Guaranteed[l.Group] > 0 {
			l.Guaranteed = store.NoOpinion
		}
		if st.Register {
			l.Owed = g.ledgers[c].Owed
		}
	}
}

func (g *guarantees) learn(_ time.Time, _ *store.Statement, r *store.Reply) {
	for i := range r.Bands {
		b := &r.Bands[i]
		g.told(class{priority: b.Priority}, store.Guarantee{Slots: b.Guaranteed, Owed: b.Owed, Got: b.Got, Below: b.Below})
	}
	for i := range r.Rooms {
		if room := &r.Rooms[i]; room.Group != "" {
			g.told(class{group: room.Group}, store.Guarantee{Slots: room.Guaranteed, Owed: room.Owed, Got: room.Got, Below: room.Below})
		}
	}
}

// told remembers an account as the ledger told it.
func (g *guarantees) told(c class, account store.Guarantee) {
	if account.Slots == 0 {
		delete(g.ledgers, c)
		return
	}
	g.ledgers[c] = account
}

func (g *guarantees) lost(now time.Time) {
	g.own, g.weighed, g.passed = make(map[class]*store.Guarantee), make(map[int]*store.Weighed), now
}

func (g *guarantees) regained(time.Time) { g.own, g.weighed = nil, nil }
