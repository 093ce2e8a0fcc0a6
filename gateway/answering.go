package gateway

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/modelapi"
)

// answered is what came back of a request.
type answered struct {
	from    io.Closer // what the server still answers with; nil where Envoy holds it
	usage   *modelapi.Answer
	begun   atomic.Bool // the client has been answered something
	whole   bool        // the server's answer came to its end
	broke   bool        // it broke off
	untaken bool        // the client took nothing of it for too long
}

// AnsweredBy takes over what a server answers with, to be closed at the session's end.
func (s *Session) AnsweredBy(from io.Closer) { s.answer.from = from }

// Respond begins the answer: it is read for usage, and charged as it comes. The body is
// nil where Envoy passes it on.
func (s *Session) Respond(status int, contentType string, body io.ReadCloser) *modelapi.Answer {
	s.record.responded = time.Now()
	if status >= 500 {
		s.Failed(metrics.Status5xx)
	}
	s.place.goneThrough()
	if s.place.slot != nil {
		s.place.slot.Answered()
	}
	s.answer.usage = modelapi.NewAnswer(body, contentType, &s.asked.Request, func(u controller.Usage) {
		s.pool.cfg.Controller.Progress(&s.leave.Request, u)
	})
	return s.answer.usage
}

// Begun notes that the client was answered something.
func (s *Session) Begun() { s.answer.begun.Store(true) }

// Whole notes that the server's answer came to its end.
func (s *Session) Whole() { s.answer.whole = true }

// ClientStalled notes that the client took nothing of the answer for too long.
func (s *Session) ClientStalled() { s.answer.untaken = true }

// BrokeOff notes that the server's answer broke off, unless it is this side that ended it.
func (s *Session) BrokeOff() {
	if s.answer.broke || s.ctx.Err() != nil {
		return
	}
	s.answer.broke = true
	s.Failed(metrics.BrokeOff)
}

// Failed counts a failure of the server that the request went to.
func (s *Session) Failed(how metrics.Failure) {
	s.pool.cfg.Metrics.UpstreamFailed(s.record.endpoint, how)
}

// cutOff is why an answer that had begun broke off; empty if it did not.
func (s *Session) cutOff(over *bound) string {
	switch a := &s.answer; {
	case !a.begun.Load() || a.whole && over == nil:
		return ""
	case over != nil:
		return over.refusal.Code
	case s.ctx.Err() != nil:
		return s.Ended().Code
	case a.broke:
		return UpstreamFailed().Code
	}
	return ""
}

// failureOf is the kind of a failure for which an endpoint is to be left.
func failureOf(cause error) metrics.Failure {
	switch {
	case errors.Is(cause, errFirstByte):
		return metrics.NoAnswer
	case errors.Is(cause, errBetweenBytes):
		return metrics.Stalled
	}
	return metrics.Unreachable
}
