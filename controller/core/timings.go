package core

import "time"

// Timings are the times that a replica works by. [DefaultTimings] has every field set.
//
// They add up to these bounds, beside the round trips:
//
//	what is lost                       bridged after                                      default
//	a wake-up, a reply                 WaitingTurn, MaxPause                              25 ms, 250 ms
//	an offer, a load at the ledger     RepeatEvery                                        1 s
//	a message to another replica       PeerTimeout, or RepeatEvery if nothing follows     0.5 s, 1 s
//	an owner that stalls               PeerTimeout                                        0.5 s
//	the ledger, connections refused    OutageAfter + MaxPause                             0.5 to 0.75 s
//	the ledger, nothing answered       the same and a try more (the turn's timeout)       1 to 1.25 s
//	a replica's slots                  half a Lease where a peer saw its process end,     1.5 s, 10 min
//	                                    KeepLost of the ledger at most otherwise
//	a replica that only lost the       LostAfter until the others leave it its share,     0.2 s, 1 s
//	 ledger                             OutageAfter until it takes it
//
// Two orders must hold, or the pool's limit does not: LostAfter and a message are over
// before OutageAfter, and IdleTurn before half a Lease.
type Timings struct {
	// Lease is the ledger's: how long what a silent replica holds stays counted. The
	// default of other fields is a part of it.
	Lease time.Duration
	// IdleTurn is the longest time between two turns; a third of the lease, so that two
	// may fail before it ends. Each costs an idle replica one turn.
	IdleTurn time.Duration
	// WaitingTurn is the longest time between two turns while tickets wait: the most that
	// a lost wake-up costs. Shorter costs turns that say nothing new.
	WaitingTurn time.Duration
	// FullPause is how long offers may wait for others to go with them while the pool is
	// full and none can be granted; 0 states each at once. It saves turns where a turn
	// costs a round trip.
	FullPause time.Duration
	// FreshFor is how long after a turn a grant that a wake-up brings is taken without
	// another turn, and float is spent; less than a third of the lease and than a ledger's
	// recovery, so that it cannot have been given to another since, however long the
	// network took. Beside a ledger so far that two turns take longer, float is not spent for
	// what is missing: a fifth of the time where a turn all but fails.
	FreshFor time.Duration
	// CalmTurn is the longest time between two turns while there is something to say that
	// nobody waits for: what ended, and what was let go by float. A turn is taken sooner when
	// FloatUnstated requests were let go by float, or three quarters of it are spent. What others know
	// of this replica's endpoints is so old.
	CalmTurn time.Duration
	// FloatLeast is how long requests must take, of late and on average, to go by float where
	// there is a choice of endpoints.
	FloatLeast    time.Duration
	FloatUnstated int
	// PreferTurn is how long turns may take on average for a request to ask the ledger for the
	// endpoint that it prefers, where it could go elsewhere by float at once. It waits for up
	// to two turns; an endpoint that has some hundred tokens of its prompt cached saves it
	// more than that.
	PreferTurn time.Duration
	// FloatTurn is the least that a turn is taken to last when it is worked out how much
	// float is needed: requests come in bursts.
	FloatTurn time.Duration
	// LineTurn is how long it may go unstated that a request went from the line in the slot of
	// another, and LinePatience how long a ticket may stand there beside the time of eight
	// turns: it is charged, and others may be served meanwhile.
	LineTurn, LinePatience time.Duration
	// LongestKept is how long the longest of the requests that ended is remembered at
	// least, and for longer as long as none ends. What a lost replica held stays counted for as long as requests take; longer
	// is safer where long requests are rare.
	LongestKept time.Duration
	// StaleAfter is how long a reply may take until what it says is no longer believed:
	// it was this process that did not run. Half the lease.
	StaleAfter time.Duration

	// RepeatEvery is how often all offers are stated to the ledger, and all tickets to
	// their owner, changed or not: how long anything that was lost without a trace stays
	// lost. To an owner it is rarer by RepeatPerTicket for each request that waits here,
	// so that it costs a bounded part of the time however many there are.
	RepeatEvery, RepeatPerTicket time.Duration
	// LoadsEvery is how often the ledger is asked for the other replicas' loads. Each
	// answer has all endpoints.
	LoadsEvery time.Duration
	// RoomsPerTurn is how many flows with limits of their own that wait are asked for in a
	// turn; with more of them each is asked for every so many turns.
	RoomsPerTurn int

	// MinPause and MaxPause bound the pause after a failed turn. It doubles with each
	// failure, and half of it is drawn at random, so that replicas do not come back in
	// step.
	MinPause, MaxPause time.Duration
	// LostAfter is how long turns must fail, beside what one that is answered takes, before the
	// others are informed: early, so that they leave this replica its share by the time it takes
	// it; and not before the turn that follows a lost one could be answered, since what they leave
	// it stands idle. A turn that is answered sooner than that afterwards ends it; slower ones do
	// when none has failed for RegainedAfter.
	LostAfter, RegainedAfter time.Duration
	// OutageAfter is how long turns may fail, from the end of the first and beside what one that is
	// answered takes, before the replica dispatches by itself. Until then requests only wait. Shorter mistakes a
	// stall of the ledger for its loss.
	OutageAfter time.Duration
	// FarTurn is how long turns take at least where the ledger is called far, and tickets go ahead of
	// their requests: if they take a quarter of the time of these, too.
	FarTurn time.Duration
	// SlowTurn is how long turns take on average when the ledger is called slow.
	SlowTurn time.Duration
	// HolderKnownAfter is how long after the ledger first said that a replica holds a
	// lease all others know it; a third of the lease, twice what they take to ask. Until
	// then it takes no share in an outage, since they would not leave it one.
	HolderKnownAfter time.Duration
	// OutageSettled is how far back an outage's charges are settled when it is over. Flows
	// that came in by many replicas got more than their share of it, and settling all of
	// a long outage would starve them for as long afterwards.
	OutageSettled time.Duration
	// HeldCharged is how often requests in flight are charged for the time that they hold
	// their slots, where the fairness policy charges by that. More often keeps counters
	// closer to the truth, and costs a settlement for each of them.
	HeldCharged time.Duration

	// PeerTimeout is how long another replica may take to acknowledge tickets before this
	// one queues them itself. Shorter bridges a stalled owner sooner, and more often
	// mistakes a slow one for a stalled one.
	PeerTimeout time.Duration
	// PeerWindow is how many messages to another replica may be unacknowledged. What comes
	// meanwhile goes with the next, so messages grow when the other is slow.
	PeerWindow int
	// PeerKept is how long a replica that neither lives nor talks to this one is
	// remembered; ten leases.
	PeerKept time.Duration
}

// DefaultTimings returns the timings of a fleet whose ledger has that lease.
func DefaultTimings(lease time.Duration) Timings {
	return Timings{
		Lease: lease, IdleTurn: lease / 3, WaitingTurn: 25 * time.Millisecond, FreshFor: 3 * lease / 10, StaleAfter: lease / 2,
		LongestKept: 5 * time.Minute,
		RepeatEvery: time.Second, RepeatPerTicket: 100 * time.Microsecond,
		CalmTurn: lease / 12, FloatLeast: lease / 3, FloatUnstated: 32, PreferTurn: 20 * time.Millisecond, FloatTurn: 25 * time.Millisecond,
		LineTurn: 2 * time.Millisecond, LinePatience: 50 * time.Millisecond,
		LoadsEvery: 20 * time.Millisecond, RoomsPerTurn: 64,
		MinPause: 10 * time.Millisecond, MaxPause: 250 * time.Millisecond,
		LostAfter: 200 * time.Millisecond, RegainedAfter: time.Second, SlowTurn: 100 * time.Millisecond, FarTurn: 20 * time.Millisecond, OutageAfter: 500 * time.Millisecond, HolderKnownAfter: lease / 3, OutageSettled: 500 * time.Millisecond, HeldCharged: 250 * time.Millisecond,
		PeerTimeout: 500 * time.Millisecond, PeerWindow: 4, PeerKept: 10 * lease,
	}
}
