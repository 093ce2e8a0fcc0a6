package gateway

import (
	"net/http"
	"time"

	"github.com/weirflow/weir/gateway/refusal"
)

// bound is a limit on what a request may take of this replica or of the pool. It is the
// error of one that went beyond it, and the answer to it where none has begun.
type bound struct {
	name     string // in metrics
	endpoint bool   // it is the model server's fault
	refusal  refusal.Refusal
}

// Error implements error.
func (b *bound) Error() string { return b.refusal.Message }

// The bounds there are.
var (
	errMemory = &bound{name: "memory", refusal: refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "memory_exhausted", Reason: refusal.Memory,
		Message: "this replica has no memory left for the request; try again later",
	}}
	errStalled = &bound{name: "body", refusal: refusal.Refusal{
		Status: http.StatusRequestTimeout, Code: "request_timeout",
		Message: "the request's body took too long to come",
	}}
	errClientStalled = &bound{name: "client", refusal: refusal.Refusal{
		Status: http.StatusRequestTimeout, Code: "client_stalled",
		Message: "the client took nothing of the answer for too long",
	}}
	errFirstByte = &bound{name: "first_byte", endpoint: true, refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "the model server did not begin to answer in time",
	}}
	errBetweenBytes = &bound{name: "between_bytes", endpoint: true, refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "upstream_timeout",
		Message: "the model server stopped in the middle of its answer",
	}}
	// By external processing, it may as well be the client that takes no more.
	errAnswerStopped = &bound{name: "between_bytes", refusal: errBetweenBytes.refusal}
	errRequestTime   = &bound{name: "request", refusal: refusal.Refusal{
		Status: http.StatusGatewayTimeout, Code: "request_too_long",
		Message: "the request took longer than it may",
	}}
)

// watch ends a session when what it waits for does not come in time. It is started and
// stopped by the session's goroutine.
type watch struct {
	session *Session
	whole   *time.Timer // since the dispatch
	step    *time.Timer // since the server was last waited for; nil before the first time
	over    *bound      // what step's end means
}

// start begins the time that the request may take in all.
func (w *watch) start(s *Session) {
	w.session = s
	w.whole = time.AfterFunc(s.asked.timeouts.Request, func() { s.cancel(errRequestTime) })
}

// expect gives the server so long from now; b is what becomes of the request afterwards.
func (w *watch) expect(b *bound, within time.Duration) {
	if w.step != nil && w.over == b {
		w.step.Reset(within)
		return
	}
	w.relax()
	w.over, w.step = b, time.AfterFunc(within, func() { w.session.cancel(b) })
}

// relax says that nothing is waited for.
func (w *watch) relax() {
	if w.step != nil {
		w.step.Stop()
	}
}

// stop ends the watch.
func (w *watch) stop() {
	w.relax()
	if w.whole != nil {
		w.whole.Stop()
	}
}

// ExpectFirstByte has the session end if its server does not begin to answer in time.
func (s *Session) ExpectFirstByte() { s.watch.expect(errFirstByte, s.asked.timeouts.FirstByte) }

// ExpectMore has it end if the server pauses for too long within its answer.
func (s *Session) ExpectMore() { s.watch.expect(errBetweenBytes, s.asked.timeouts.BetweenBytes) }

// ExpectMoreOrTaken is the same where it cannot be told whether the server pauses or the client
// takes nothing.
func (s *Session) ExpectMoreOrTaken() {
	s.watch.expect(errAnswerStopped, s.asked.timeouts.BetweenBytes)
}

// Relax says that nothing is waited for.
func (s *Session) Relax() { s.watch.relax() }

// BodyStalled ends the session, whose request's body took too long to come.
func (s *Session) BodyStalled() { s.cancel(errStalled) }
