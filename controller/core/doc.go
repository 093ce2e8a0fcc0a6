// Package core is the replica's brain: a state machine that turns events into
// effects, without goroutines, locks, clocks, I/O or randomness of its own.
//
//	events                                                effects, handed out by Ready
//	  of requests    Enqueue, Cancel, CancelAll,  ──┐
//	                 Place, Progress, Release       │   ┌──> Decisions: waits that ended
//	  of the pool    SetPool, SetEndpoints,        ─┤   ├──> Revoked: requests to be ended for a higher band
//	                 Reconfigure                    │   ├──> Loads: the others' requests at each endpoint
//	  of the fleet   SetMembers, SetStream,        ─┼───┼──> Messages: tickets to and from other replicas
//	                 Receive, Retire                │   ├──> Turn: a statement for the ledger
//	  of the ledger  TurnDone, Wake, Leave         ─┤   ├──> Moves: changes of the shard map that are over
//	  of time        Tick                          ─┘   ├──> Left, Retired: this replica may go
//	                                                    └──> Next: when to tick at the latest
//
// A driver (package controller) feeds it and carries its effects out; [Ready] says in
// which order. The same core runs in simulated time, many of them in one test.
//
// At most one turn is under way. Whatever happens meanwhile goes with the next
// (group commit), so a busy replica takes a fraction of a turn per request and
// an idle one a turn a second.
//
// # Parts
//
// The [Core] puts parts together, each with its own state and invariants, written beside
// its fields. References between them point down this list only:
//
//	Core         the events; which parts hear of what; when to take a turn
//	waits        how long requests may wait, and waits that end without a slot
//	ownShare     what goes while the ledger is lost
//	ahead        tickets on their way to the line before their requests come           p
//	passing      requests of bands that want little, for the same before these         p
//	line         tickets that are next, for slots that end here                        p
//	slots        what requests in flight count as, in every part that counts them
//	holding      what requests in flight are charged for the time they hold their slots
//	charges      what requests are charged, as they were expected to cost and as they do
//	handover     tickets between replicas: who owns which flow, what was handed where  p
//	float        what this replica may let go by itself                                p
//	ownCharges   what it charged by itself in an outage                                p
//	settlements  corrections of charges                                                p
//	revocations  requests in flight that may be ended                                  p
//	limits       flows with limits of their own                                        p
//	guarantees   what priorities and groups are guaranteed of the pool                 p
//	maxima       groups that may have so much at most, or are guaranteed something     p
//	loads        requests at each endpoint                                             p
//	buffer       what waits, against the fleet's caps for it                           p
//	bands        the pool, and what each priority may have of it                       p
//	groups       where groups of flows stand                                           p
//	queues       the tickets that wait here, and their offers                          p
//	exchange     the turn with the ledger: stated, answered, tried again; outages
//	inbox        the messages that the ledger leaves                                   p
//	durations    how long requests take                                                p
//	requests     the requests whose connections are here
//
// Those marked p are participants of the exchange, which knows them by that interface: each
// says its part in a statement and learns from the reply. What is new in a turn is a further
// participant. What a part needs of one that is further up, it is given by the Core as a
// function.
package core
