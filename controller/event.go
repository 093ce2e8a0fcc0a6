package controller

import (
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/store"
)

// event is something the core must hear of: what to do on the driver's loop, and with
// what. Frequent events are functions that take their operands from the event, so that
// posting one allocates nothing; for the others a closure is good enough.
type event struct {
	do func(d *driver, now time.Time, e *event)

	request *Request
	seq     uint64
	usage   core.Usage
	err     error
	reply   *store.Reply
	message *coordinator.Message
}

// The frequent events.

func (d *driver) enqueued(now time.Time, e *event) { d.core.Enqueue(now, e.request.ask()) }

func (d *driver) cancelled(now time.Time, e *event) {
	d.core.Cancel(now, e.seq, EvictedContextCancelled, e.err)
}

func (d *driver) released(now time.Time, e *event) {
	delete(d.revocable, e.seq)
	d.core.Release(now, e.seq, e.usage)
}

func (d *driver) progressed(_ time.Time, e *event) { d.core.Progress(e.seq, e.usage) }

func (d *driver) received(now time.Time, e *event) { d.core.Receive(now, e.message) }

func (d *driver) turnDone(now time.Time, e *event) {
	d.core.TurnDone(now, e.reply, e.err)
	d.noteTurn(e.err)
	d.noteLost()
}

// post hands the loop an event. Once the loop has been told to stop, a request is
// refused and anything else is dropped.
func (d *driver) post(e event) {
	d.mu.Lock()
	if d.stopping {
		d.mu.Unlock()
		if e.request != nil {
			e.request.decide(&core.Decision{Outcome: RejectedOther, Err: ErrShuttingDown}, 0)
		}
		return
	}
	d.inbox = append(d.inbox, e)
	wake := d.asleep
	d.asleep = false
	d.mu.Unlock()
	if wake {
		d.kick <- struct{}{}
	}
}

// The driver implements coordinator.Handler.

// MembersChanged implements coordinator.Handler.
func (d *driver) MembersChanged(m coordinator.Members) { d.sharing.changed(m) }

// setMembers has the core take in who lives, and who of them has held a lease.
func (d *driver) setMembers(m coordinator.Members) {
	d.post(event{do: func(d *driver, now time.Time, _ *event) { d.core.SetMembers(now, m) }})
}

// StreamChanged implements coordinator.Handler.
func (d *driver) StreamChanged(peer string, up bool) {
	d.post(event{do: func(d *driver, now time.Time, _ *event) { d.core.SetStream(now, peer, up) }})
}

// Received implements coordinator.Handler.
func (d *driver) Received(m coordinator.Message) {
	d.post(event{do: (*driver).received, message: &m})
}
