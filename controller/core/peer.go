package core

import (
	"time"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// peer is a replica as this one deals with it: as the owner of queues that
// tickets of ours wait in, and as the ingress of tickets that wait in ours. This
// replica is a peer of itself, without messages in between.
type peer struct {
	id          string
	incarnation uint64

	live    bool // gossip says so
	up      bool // messages pass
	leaving bool // it said so
	lost    bool // it said that the ledger is out of its reach
	seen    time.Time

	// As the owner of tickets of ours.
	homed    list.List[*request] // that wait there, or are about to
	sent     uint64              // the number of the last message with tickets
	acked    uint64
	awaited  []awaited  // messages without an acknowledgment, oldest first
	stalled  bool       // the oldest has waited for it too long
	queue    []*request // to be queued there by the next message
	gone     []uint64   // to be taken out of its queues
	moving   []*request // handed over, and still in another queue until acknowledged
	restate  bool       // it must be told everything
	restated time.Time  // when it was last

	// As the ingress of tickets in our queues.
	received uint64          // the number of the last message taken in
	ackDue   bool            // it has not been told so
	resync   bool            // it must restate
	rejected map[uint64]bool // there was no room for; it has not confirmed
	said     said            // what it was last told of us
}

// awaited is a message without an acknowledgment.
type awaited struct {
	number uint64
	sent   time.Time
}

// said is what every message tells of its sender.
type said struct{ leaving, lost bool }

// usable reports whether tickets can be handed to the peer.
func (p *peer) usable() bool { return p.live && p.up && !p.stalled && !p.leaving && !p.lost }

// window is how many messages to a peer may be unacknowledged. What comes
// meanwhile goes with the next, so messages grow when the peer is slow.
const window = 4

// restateEvery is how often all offers are stated to the ledger, and all tickets
// to their owner, changed or not. It bounds how long anything that was lost
// without a trace stays lost.
const restateEvery = time.Second

// nextRestate is when to tell the peer everything again, also when that is
// nothing: its acknowledgment is a sign of life. The more there may be to tell,
// the more rarely.
func (p *peer) nextRestate(waiting int) time.Time {
	return p.restated.Add(restateEvery + time.Duration(waiting)*100*time.Microsecond)
}

// acknowledge takes in that messages up to a number have arrived.
func (p *peer) acknowledge(number uint64) {
	if number <= p.acked || number > p.sent {
		return
	}
	p.acked = number
	n := 0
	for n < len(p.awaited) && p.awaited[n].number <= number {
		n++
	}
	p.awaited = append(p.awaited[:0], p.awaited[n:]...)
}

// expect notes that a message was sent.
func (p *peer) expect(now time.Time) {
	p.sent++
	p.awaited = append(p.awaited, awaited{p.sent, now})
}

// forgetUnsent drops what the next message would have said.
func (p *peer) forgetUnsent() {
	clear(p.queue)
	p.queue, p.gone = p.queue[:0], p.gone[:0]
}

// reject notes that there was no room for a ticket of the peer.
func (p *peer) reject(seq uint64) {
	if p.rejected == nil {
		p.rejected = make(map[uint64]bool)
	}
	p.rejected[seq], p.ackDue = true, true
}

// ticket names one of the peer's tickets.
func (p *peer) ticket(seq uint64) policies.TicketID {
	return policies.TicketID{Ingress: p.id, Seq: seq}
}
