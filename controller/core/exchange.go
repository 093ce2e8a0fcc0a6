package core

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weirflow/weir/store"
)

// exchange takes the turns with the ledger: what was stated, what was answered, when to
// try again, and whether to go on without it. What a statement says is up to the
// participants.
//
//	            answered               fails for OutageAfter and a turn
//	registering ────────> connected ────────────────────────> outage
//	     ^                    │ the ledger asks for all           │ answered
//	     └────────────────────┴───────────────────────────────────┘ (it registers)
//
// Invariants: at most one turn is under way. number counts up with each, and
// answered <= number. failures == 0 or the last turn failed. In an outage register is
// raised.
type exchange struct {
	replica     string
	incarnation uint64
	timings     *Timings
	jitter      *rand.Rand
	clock       clock
	agenda      agenda
	inbox       inbox
	parts       []participant // the inbox among them, in the order in which they are called

	register mark // everything is to be stated
	leave    mark // the next turn is the last
	alone    mark // this replica dispatched by itself, and no answered statement counted it

	underWay   bool
	statement  store.Statement // reused from turn to turn
	number     uint64
	answered   uint64
	generation uint64
	declared   uint64    // the generation that knows that this replica dispatched by itself since it lost the ledger
	last       time.Time // when the last turn began
	leased     time.Time // when the last answered one did
	leasedIn   uint64    // in that generation
	first      time.Time // when one was first answered; anew after the ledger went on without this replica

	failures   int                     // in a row
	since      time.Time               // when the first of them ended, or the first answered one after them
	took       time.Duration           // what the last answered turn took
	pace       time.Duration           // what answered turns took of late, on average
	slow       bool                    // that is long
	retry      time.Time               // not before
	outage     bool                    // this replica goes on by itself
	others     *store.OtherFormatError // who keeps the ledger in another format, as the last turn was told
	superseded bool                    // another process has this replica's id
	left       bool                    // there will be no further turn
}

// clock is how far the ledger's clock is ahead of this replica's.
type clock struct{ ahead time.Duration }

// at converts a time of this replica's clock to the ledger's.
func (c *clock) at(now time.Time) time.Time { return now.Add(c.ahead) }

// free reports whether a turn could begin.
func (e *exchange) free(now time.Time) bool {
	return !e.underWay && !e.left && !now.Before(e.retry)
}

// begin returns the statement of a turn, which is under way from now on.
func (e *exchange) begin(now time.Time) *store.Statement {
	e.underWay, e.agenda, e.last = true, agenda{calm: e.agenda.calm}, now
	e.number++
	s := &e.statement
	*s = store.Statement{
		Replica: e.replica, Incarnation: e.incarnation, Number: e.number, Answered: e.answered, Generation: e.generation,
		Register: e.register.carry(), Leave: e.leave.carry(), Pace: e.pace.Truncate(time.Millisecond),
		Dead: s.Dead[:0], Ended: s.Ended[:0], Bands: s.Bands[:0], Withdrawn: s.Withdrawn[:0], Offers: s.Offers[:0], Counters: s.Counters[:0],
		Sheddable: s.Sheddable[:0], Limited: s.Limited[:0], Loads: s.Loads[:0], Groups: s.Groups[:0],
	}
	// What it dispatched while the turn was under way that declared so is stated by registering
	// again: for the others nothing is new, and a generation that they begin costs all a turn.
	s.Alone = s.Register && e.alone.carry() && e.generation != e.declared
	for _, p := range e.parts {
		p.state(now, s)
	}
	return s
}

// end ends the turn under way, with the reply or the error. Afterwards superseded may be
// set.
func (e *exchange) end(now time.Time, reply *store.Reply, err error) {
	e.underWay, e.others = false, nil
	if err != nil {
		errors.As(err, &e.others)
		e.notAnswered()
		e.failed(now, err)
		return
	}
	if e.failures > 0 {
		e.failures, e.since = 0, now
	}
	e.retry, e.took = time.Time{}, now.Sub(e.last)
	slept := e.slept(now)
	if !slept { // else the ledger's time is as old as its reply
		e.averaged(e.took)
		e.clock.ahead = reply.Now.Sub(now)
	}
	if reply.Status == store.Register || e.statement.Register {
		e.missed(now, reply)
	}
	switch {
	case reply.Status == store.Register:
		e.notAnswered()
		e.generation, e.inbox.readUpTo, e.answered = reply.Generation, 0, 0
		e.register.raise()
	case slept: // its grants may have gone to others since
		e.notAnswered()
	default:
		e.succeeded(now, reply)
	}
}

// succeeded handles the reply to a statement that was applied.
func (e *exchange) succeeded(now time.Time, reply *store.Reply) {
	s := &e.statement
	e.answered, e.generation = s.Number, reply.Generation
	e.leased, e.leasedIn = e.last, reply.Generation
	if e.first.IsZero() {
		e.first = now
	}
	e.number = max(e.number, reply.Applied)
	e.register.answered()
	e.alone.answered()
	if s.Alone {
		e.declared = reply.Generation
	}
	e.left = e.leave.answered()
	if e.outage {
		e.outage = false
		for _, p := range e.parts {
			p.regained(now)
		}
	}
	// This replica dispatched by itself while the turn was under way, and its statement did not
	// say so: the ledger did not count that when it granted. Or messages are missing before these.
	// The grants are left unread; they are returned when this replica registers again and
	// declares what it has.
	anew := e.alone.raised || e.inbox.misses(reply.Messages)
	if anew {
		unread := *reply
		unread.Messages = nil
		reply = &unread
	}
	for _, p := range e.parts {
		p.learn(now, s, reply)
	}
	if anew {
		e.register.raise()
		e.agenda.due = true
	}
}

// missed notes where the ledger went on without this replica, of which it hears again: it told the
// others that there is one less. One that began anew waited for all.
func (e *exchange) missed(now time.Time, reply *store.Reply) {
	if reply.Generation == e.leasedIn && now.Sub(e.leased) > e.timings.Lease {
		e.first = time.Time{}
	}
}

// notAnswered makes the participants repeat what the statement said.
func (e *exchange) notAnswered() {
	for _, p := range e.parts {
		p.unanswered()
	}
	e.agenda.due = true
}

// failed plans the next try, and begins an outage when tries have failed for long enough.
func (e *exchange) failed(now time.Time, err error) {
	if errors.Is(err, store.ErrSuperseded) {
		e.superseded, e.left = true, true
		return
	}
	if e.failures == 0 || e.slept(now) { // while this process did not run, no ledger failed
		e.since = now
	}
	pause := min(e.timings.MinPause<<min(e.failures, 8), e.timings.MaxPause)
	e.failures++
	e.retry = now.Add(pause/2 + time.Duration(e.jitter.Int64N(int64(pause/2)+1)))
	if !e.outage && now.Sub(e.since) >= e.withTurn(e.timings.OutageAfter) {
		e.outage, e.declared = true, 0
		e.register.raise() // what happens from now on is stated in full
		for _, p := range e.parts {
			p.lost(now)
		}
	}
}

// slept reports whether the turn under way began so long ago that it was this
// process that did not run, and not the ledger that took its time: what it said
// is out of date.
func (e *exchange) slept(now time.Time) bool { return now.Sub(e.last) > e.timings.StaleAfter }

// averaged takes in what an answered turn took. A ledger is called slow when turns take long
// on average, and no longer when they take half of that.
func (e *exchange) averaged(took time.Duration) {
	e.pace += (took - e.pace) / 4
	if e.slow {
		e.slow = e.pace >= e.timings.SlowTurn/2
	} else {
		e.slow = e.pace >= e.timings.SlowTurn
	}
}

// withTurn is so much time beside what turns take: where one failed, the next has then had the time to
// be answered.
func (e *exchange) withTurn(d time.Duration) time.Duration { return d + e.pace }

// lost reports whether the other replicas should take the ledger for lost here, given
// whether they do: turns have failed for a while, or the ledger does not know all that was
// dispatched since. A turn that is merely slow is no loss, and one that succeeds slowly after
// failures no proof that it is over; so that replicas do not take back and forth what they
// leave each other.
func (e *exchange) lost(now time.Time, before bool) bool {
	switch long := now.Sub(e.since); {
	case e.onItsOwn():
		return true
	case e.failures > 0:
		return before || long >= e.withTurn(e.timings.LostAfter)
	case e.took < e.withTurn(e.timings.LostAfter):
		return false
	default:
		return before && long < e.timings.RegainedAfter
	}
}

// nextLoss is when lost may change without a turn's end.
func (e *exchange) nextLoss(before bool) (at time.Time, ok bool) {
	switch {
	case e.onItsOwn(): // a turn ends that
		return time.Time{}, false
	case e.failures > 0 && !before:
		return e.since.Add(e.withTurn(e.timings.LostAfter)), true
	case e.failures == 0 && before:
		return e.since.Add(e.timings.RegainedAfter), true
	}
	return time.Time{}, false
}

// wake reads the messages of a wake-up if they are the next in number and this replica's
// lease is young: a grant that was long on its way may have been given to another replica
// since. Otherwise a turn fetches them.
func (e *exchange) wake(now time.Time, w *store.Wakeup) {
	current := w.Incarnation == e.incarnation && w.Registered == e.inbox.registered && !e.register.raised && e.failures == 0
	if !current || now.Sub(e.leased) > e.timings.FreshFor || !e.inbox.next(now, w.Messages) {
		e.agenda.due = true
	}
}

// onItsOwn reports whether this replica dispatches by itself, or has dispatched what no
// statement that was answered declared.
func (e *exchange) onItsOwn() bool { return e.outage || e.alone.raised }

// counted reports whether all others with the ledger have been told by it that this replica
// holds a lease: it answered a turn that began so long after the first, which is as long as
// theirs are apart. Replicas of another version that say what they hold leave a newcomer its
// share without that.
func (e *exchange) counted(after time.Duration) bool {
	if e.others != nil && e.others.Held >= 0 {
		return true
	}
	return !e.first.IsZero() && e.leased.Sub(e.first) >= after
}

// dispatchedAlone notes that this replica dispatched a request by itself. The statement of a
// turn that is under way does not count it, whatever else that one declared.
func (e *exchange) dispatchedAlone() { e.alone.raise() }

// state returns how this replica stands with the ledger.
func (e *exchange) state() LedgerState {
	switch {
	case e.superseded:
		return Superseded
	case e.outage:
		return Outage
	case e.register.raised:
		return Registering
	case e.slow:
		return Slow
	default:
		return Connected
	}
}

// LedgerState says how the core stands with the ledger.
type LedgerState string

// The states.
const (
	// Registering: the replica has not stated everything to the ledger yet.
	Registering LedgerState = "registering"
	// Connected: turns are answered.
	Connected LedgerState = "connected"
	// Slow: turns are answered, but take long.
	Slow LedgerState = "slow"
	// Outage: the ledger is out of reach, and the replica dispatches within its share.
	Outage LedgerState = "outage"
	// Superseded: another process has taken this replica's id, for good.
	Superseded LedgerState = "superseded"
)
