package core

import (
	"time"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// peer is a replica as this one deals with it. This replica is a peer of itself, without
// messages in between.
type peer struct {
	id          string
	incarnation uint64
	version     string // the build's, as it said
	differs     string // the settings in which it differs from this replica

	live    bool          // gossip says so
	holder  bool          // the ledger says that this run has held a lease
	up      bool          // messages pass
	leaving bool          // it said so
	lost    bool          // it said that the ledger is out of its reach
	turn    time.Duration // how long its turns take, as it said; 0 where that is not long
	seen    time.Time

	homed list.List[*request] // requests of ours that wait in its queues, or are about to
	out   outbound
	in    inbound
	said  said // what it last heard of us
}

// said is what every message tells of its sender.
type said struct {
	leaving, lost bool
	turn          time.Duration
}

// news is how long turns take as the peer should hear it: what it last heard, as long as that is
// within a quarter, and 0 where it is less than so much.
func (s said) news(pace, least time.Duration) time.Duration {
	switch {
	case s.turn > 0 && 4*pace >= 3*s.turn && 4*pace <= 5*s.turn:
		return s.turn
	case pace < least:
		return 0
	}
	return pace
}

// usable reports whether tickets can be handed to the peer.
func (p *peer) usable() bool { return p.live && p.up && !p.out.stalled && !p.leaving && !p.lost }

// ticket names one of the peer's tickets.
func (p *peer) ticket(seq uint64) policies.TicketID {
	return policies.TicketID{Ingress: p.id, Seq: seq}
}

// reborn takes in that the peer runs anew: what its earlier run knew of us is gone, and
// so is what we knew of it. The flows and bands it opened here stand, and go on counting:
// else a replica that keeps restarting would have no bound.
func (p *peer) reborn(incarnation uint64) {
	p.incarnation = incarnation
	p.leaving, p.lost, p.holder, p.turn = false, false, false, 0
	p.in = inbound{opened: p.in.opened}
	p.out.stalled, p.out.repeat = false, true
	p.out.awaited = p.out.awaited[:0]
}

// outbound is what this replica, as an ingress, has to say to an owner of its tickets.
//
// Invariants: acked <= sent and full <= sent; awaited has messages above acked only, oldest
// first. Every request in queue that is still homed at the peer has number 0, and every other one
// homed there was in a message. moving holds each request that is homed at the peer, was
// in a message and has a former queue.
type outbound struct {
	sent     uint64 // the number of the last message with tickets
	acked    uint64
	full     uint64     // the number of the last that said everything
	awaited  []awaited  // messages without an acknowledgment
	stalled  bool       // the oldest has waited for it too long
	queue    []*request // to be queued there by the next message
	gone     []uint64   // to be taken out of its queues
	came     []uint64   // to be counted there, since they are ahead of their requests no longer
	moving   []*request // to leave their former queues when acknowledged
	repeat   bool       // the next message is to say everything
	repeated time.Time  // when the last one did
}

// awaited is a message without an acknowledgment.
type awaited struct {
	number uint64
	sent   time.Time
}

// acknowledge takes in that messages up to a number have arrived.
func (o *outbound) acknowledge(number uint64) {
	if number <= o.acked || number > o.sent {
		return
	}
	o.acked = number
	n := 0
	for n < len(o.awaited) && o.awaited[n].number <= number {
		n++
	}
	o.awaited = append(o.awaited[:0], o.awaited[n:]...)
}

// expect notes that a message was sent.
func (o *outbound) expect(now time.Time) {
	o.sent++
	o.awaited = append(o.awaited, awaited{o.sent, now})
}

// missing takes in that the peer lacks a message, and asks for everything. It takes in none of those
// after it either, so they will not be acknowledged, and what says everything need not wait for
// that; unless such a message is on its way already.
func (o *outbound) missing() {
	o.repeat = true
	if o.full <= o.acked {
		o.awaited = o.awaited[:0]
	}
}

// forgetUnsent drops what the next message would have said.
func (o *outbound) forgetUnsent() {
	clear(o.queue)
	o.queue, o.gone, o.came = o.queue[:0], o.gone[:0], o.came[:0]
}

// reset takes in that messages pass anew, or no more: those under way are lost.
func (o *outbound) reset() {
	o.repeat, o.stalled = true, false
	o.awaited, o.moving = o.awaited[:0], o.moving[:0]
	o.forgetUnsent()
}

// nextRepeat is when to tell the peer everything again, also when that is nothing: its
// acknowledgment is a sign of life. The more there may be to tell, the more rarely.
func (o *outbound) nextRepeat(t *Timings, waiting int) time.Time {
	return o.repeated.Add(t.RepeatEvery + time.Duration(waiting)*t.RepeatPerTicket)
}

// inbound is what this replica, as an owner, has heard from an ingress.
//
// Invariant: all messages up to received were taken in, and none after it.
type inbound struct {
	received uint64                   // the number of the last message taken in
	ackDue   bool                     // it has not been acknowledged
	resync   bool                     // one is missing: the peer must repeat everything
	rejected map[uint64]shard.Refusal // why tickets were rejected; the peer has not confirmed

	// Tickets for the peer to queue itself: those that the ledger dropped because it has
	// no lease of the peer's, and those beyond the bounds of one peer. They are named
	// once: what is not heard comes again, and is named again.
	unserved, declined []uint64
	opened             opened

	// Tickets of the peer's that are offered to the ledger, of those that are traced. They
	// are named once, and that it is not heard costs nothing but an event of a trace.
	offered []uint64
}

// forget drops what the tickets of a peer were that are gone.
func (in *inbound) forget() { in.received, in.rejected = 0, nil }

// handBack notes that the ledger dropped a ticket for want of a lease of the peer's.
func (in *inbound) handBack(seq uint64) {
	in.unserved = append(in.unserved, seq)
	in.ackDue = true
}

// decline notes a ticket beyond the peer's bounds.
func (in *inbound) decline(seq uint64) {
	in.declined = append(in.declined, seq)
	in.ackDue = true
}

// offer notes that a traced ticket is offered to the ledger.
func (in *inbound) offer(seq uint64) {
	in.offered = append(in.offered, seq)
	in.ackDue = true
}

// reject notes that there was no room for a ticket, and why.
func (in *inbound) reject(seq uint64, why shard.Refusal) {
	if in.rejected == nil {
		in.rejected = make(map[uint64]shard.Refusal)
	}
	in.rejected[seq], in.ackDue = why, true
}
