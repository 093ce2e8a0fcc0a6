package core

import (
	"math"
	"time"

	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// float is what this replica may let go by itself: permits that the ledger gave it while
// nobody waits for capacity. A permit counts there like a request in flight, so none of
// the following changes what the pool has in flight at most:
//
//	spend    a permit becomes a request in flight
//	end      a request in flight becomes a permit
//
// Invariant: requests in flight + permits <= what the ledger counts for this replica, as
// long as its lease is young. counted is the least that the ledger may count: what the last
// statement said, whether it was applied or not, with the grants read since.
type float struct {
	bystander
	cfg      *Config
	exchange *exchange
	requests *requests
	bands    *bands
	loads    *loads
	took     *durations

	counted  int64
	share    int64         // how many permits may be kept; 0 for none, and none may be spent
	recalled bool          // since the last statement began
	doubtful bool          // the last reply was to another turn: counted may be too much
	limit    int64         // under which any were last given: bands whose limit is lower ask
	limits   map[int]int64 // the bands', as the ledger has them
	given    int64         // permits after the last reply
	short    bool          // requests are short beside a turn

	free  rate // of requests that go by permits, if there are any
	all   rate // of all
	moves rate // of those that would go elsewhere than they were granted for, and did not ask for it

	unstated int    // requests that were let go since the last statement
	total    uint64 // requests that were let go
}

func newFloat(cfg *Config, e *exchange, q *requests, bs *bands, l *loads, d *durations) float {
	return float{cfg: cfg, exchange: e, requests: q, bands: bs, loads: l, took: d, limits: make(map[int]int64)}
}

// fits reports whether requests are of the kind to go by permits: where there is a choice of
// endpoints, and others whose loads count there, those that take long beside the age of what is
// known of these, and those that are short beside a turn. A grant brings the endpoint that has
// the least, which is not worth a wait as long as that.
func (f *float) fits() bool {
	return len(f.loads.listed) <= 1 || f.bands.totals.Members == 1 || f.anywhere()
}

// anywhere reports whether requests are better off at any endpoint than with a question.
func (f *float) anywhere() bool { return f.took.typical >= f.exchange.timings.FloatLeast || f.short }

// spends reports whether permits may be spent now.
func (f *float) spends(now time.Time) bool {
	return f.share > 0 && f.holds(now)
}

// holds reports whether the ledger counts for this replica what it is known to count.
func (f *float) holds(now time.Time) bool {
	e := f.exchange
	return !f.doubtful && !e.register.raised && !e.leave.raised && now.Sub(e.leased) <= e.timings.FreshFor
}

// permits is how many requests may be let go now, of bands that need not ask.
func (f *float) permits(now time.Time) int64 {
	if f.share == 0 {
		return 0
	}
	return f.room(now)
}

// room is how many more requests this replica may have in flight without the ledger counting
// more for it.
func (f *float) room(now time.Time) int64 {
	if !f.holds(now) {
		return 0
	}
	return max(0, f.counted-int64(f.requests.inFlight))
}

// open is how many slots of this replica may be filled here: none while the pool has no endpoint.
func (f *float) open(now time.Time) int64 {
	if f.bands.pool.Endpoints == 0 {
		return 0
	}
	return f.room(now)
}

// takes reports whether a request that arrives is let go by a permit. It overtakes nothing
// that waits here. Those that could go by one, if there were any, say how many are of use.
func (f *float) takes(now time.Time, r *request) bool {
	f.all.arrivals++
	if !f.eligible(now, r) {
		return false
	}
	f.free.arrivals++
	return f.requests.asking == 0 && f.may(now, r)
}

// eligible reports whether a request is of those that go by permits. A flow with limits of its own
// asks, or in a group with a maximum, since only the ledger counts it; and so does a band that
// remembers what idle flows were served, since owners keep that for the ledger, and hear of what
// was granted only. So does a band whose limit is lower than the one under which permits are given.
func (f *float) eligible(now time.Time, r *request) bool {
	b := f.bands.of(now, r.Flow.Priority)
	if r.limited || !f.fits() || !chargedAfterwards(b) {
		return false
	}
	limit := b.Capacity().Limit
	if known, ok := f.limits[r.Flow.Priority]; ok {
		limit = min(limit, known)
	}
	return limit >= f.limit
}

// chargedAfterwards reports whether what a band is let go without a grant may be charged afterwards.
func chargedAfterwards(b shard.Band) bool { return !b.Counts() || b.Account().LiftsIdle }

// may reports whether a request may be let go by a permit now: the ledger must know its band.
func (f *float) may(now time.Time, r *request) bool {
	_, known := f.limits[r.Flow.Priority]
	return known && f.share > 0 && f.open(now) > 0 && f.eligible(now, r) && (!f.loads.bounded || f.at(r) != "")
}

// at is the endpoint that a request goes to by a permit that may be spent, where these have limits;
// empty for none. One that prefers an endpoint asks the ledger for it rather than go elsewhere,
// unless that is far and any is better than a question; and so does any for the one with the least load.
func (f *float) at(r *request) string {
	far := f.exchange.pace > f.exchange.timings.PreferTurn && f.anywhere()
	switch preferred := f.loads.preferred(r.Prefer); {
	case preferred != "" && f.loads.open(preferred):
		return preferred
	case far:
		return f.loads.least(f.loads.open)
	case preferred != "":
		return ""
	}
	return f.loads.leastLoaded()
}

// moved notes that a request would go elsewhere than it was granted for, and did not ask for it.
func (f *float) moved() { f.moves.arrivals++ }

// spend notes that a request was let go by a permit.
func (f *float) spend() {
	f.unstated++
	f.total++
	f.exchange.agenda.note()
}

// recall ends spending until a statement that begins from now on is answered: the reply to
// one that is under way may have been given before.
func (f *float) recall() {
	f.share, f.recalled = 0, true
	f.exchange.agenda.calm = false
}

// low reports whether a turn is worth it for the sake of permits, or of what was let go.
func (f *float) low(now time.Time) bool {
	if f.share == 0 {
		return false
	}
	return f.unstated >= f.exchange.timings.FloatUnstated || f.given > 0 && 4*f.permits(now) < f.given
}

// interval is the longest time between two turns for permits to stay good: the next is
// answered while the last is young.
func (f *float) interval() time.Duration {
	t := f.exchange.timings
	if f.share == 0 || f.given == 0 {
		return t.IdleTurn
	}
	return max(0, min(t.IdleTurn, t.FreshFor-2*f.exchange.pace))
}

// wants is how many permits this replica has use for: what arrives in two turns, and one.
func (f *float) wants(now time.Time) int64 { return f.ofUse(f.free.perSecond(now)) }

// wantsAt is how many it has use for at an endpoint. Where many requests would go elsewhere than
// they were granted for, these count, too; a few do not, since permits leave less room there for
// those that ask for the endpoint.
func (f *float) wantsAt(now time.Time) int64 {
	free, moves := f.free.perSecond(now), f.moves.perSecond(now)
	if moves*manyMoves < f.all.perSecond(now) {
		moves = 0
	}
	return f.ofUse(free + moves)
}

// manyMoves: one request in so many is many.
const manyMoves = 8

func (f *float) ofUse(perSecond float64) int64 {
	if perSecond < leastRate {
		return 0
	}
	turn := max(f.exchange.pace, f.exchange.timings.FloatTurn)
	return 1 + int64(math.Ceil(perSecond*2*turn.Seconds()))
}

// rate is how many requests arrive.
type rate struct {
	arrivals int // since it was last worked out
	last     float64
	at       time.Time
}

func (r *rate) perSecond(now time.Time) float64 {
	if passed := now.Sub(r.at); passed > 0 {
		s := passed.Seconds()
		r.last += min(1, s) * (float64(r.arrivals)/s - r.last)
		r.arrivals, r.at = 0, now
	}
	return r.last
}

// leastRate is how many requests a second must arrive for permits to be of use: one in
// ten seconds.
const leastRate = 0.1

// The float is a participant.

// state states how many permits are kept. Those above it are returned with that: they are
// no longer counted.
func (f *float) state(now time.Time, s *store.Statement) {
	s.WantFloat = f.wants(now)
	if !s.Register {
		s.Float = min(f.permits(now), s.WantFloat, f.share)
	}
	f.counted, f.unstated = int64(f.requests.inFlight)+s.Float, 0
	f.recalled = false
}

// learn takes in what the ledger gave. Grants among the reply's messages have been counted
// when they were read.
func (f *float) learn(_ time.Time, s *store.Statement, r *store.Reply) {
	f.short = f.took.shortBeside(f.exchange.pace, f.short)
	f.doubtful = r.Applied != s.Number
	if s.Leave || f.recalled { // it is out of date
		f.recall()
		return
	}
	f.counted += r.Float - s.Float
	f.share, f.given = r.FloatShare, r.Float
	if f.share > 0 {
		f.limit = r.FloatLimit
	}
	clear(f.limits)
	for i := range r.Bands {
		f.limits[r.Bands[i].Priority] = r.Bands[i].Limit
	}
	a := &f.exchange.agenda
	if a.calm = f.share > 0; !a.calm {
		a.due = a.due || a.later || r.Float > 0 || f.loads.keeps()
	}
}

func (f *float) lost(time.Time) { f.recall() }
