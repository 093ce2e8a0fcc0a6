package gateway

import (
	"time"

	"github.com/weirflow/weir/gateway/flows"
)

// Watch ends a session when what it waits for does not come in time. It is used by the
// session's goroutine.
type Watch struct {
	life     *life
	timeouts flows.Timeouts
	whole    *time.Timer // since the dispatch; nil before
	step     *time.Timer // since the server was last waited for; nil before the first time
	over     *bound      // what step's end means
}

// start begins the time that the request may take in all.
func (w *Watch) start() {
	w.whole = time.AfterFunc(w.timeouts.Request, func() { w.life.cancel(errRequestTime) })
}

// expect gives the server so long from now; b is what becomes of the request afterwards.
func (w *Watch) expect(b *bound, within time.Duration) {
	if w.step != nil && w.over == b {
		w.step.Reset(within)
		return
	}
	w.Relax()
	w.over, w.step = b, time.AfterFunc(within, func() { w.life.cancel(b) })
}

// stop ends the watch.
func (w *Watch) stop() {
	w.Relax()
	if w.whole != nil {
		w.whole.Stop()
	}
}

// Timeouts are how long the request may hold its slots.
func (w *Watch) Timeouts() *flows.Timeouts { return &w.timeouts }

// ExpectFirstByte has the session end if its server does not begin to answer in time.
func (w *Watch) ExpectFirstByte() { w.expect(errFirstByte, w.timeouts.FirstByte) }

// ExpectMore has it end if the server pauses for too long within its answer.
func (w *Watch) ExpectMore() { w.expect(errBetweenBytes, w.timeouts.BetweenBytes) }

// ExpectMoreOrTaken is the same where it cannot be told whether the server pauses or the client
// takes nothing.
func (w *Watch) ExpectMoreOrTaken() { w.expect(errAnswerStopped, w.timeouts.BetweenBytes) }

// Relax says that nothing is waited for.
func (w *Watch) Relax() {
	if w.step != nil {
		w.step.Stop()
	}
}

// BodyStalled ends the session, whose request's body took too long to come. It may be called
// by any goroutine.
func (w *Watch) BodyStalled() { w.life.cancel(errStalled) }
