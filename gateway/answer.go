package gateway

import (
	"io"
	"sync/atomic"

	"github.com/weirflow/weir/gateway/metrics"
	"github.com/weirflow/weir/gateway/modelapi"
)

// Answer is what came back of a request, and how far its client got it. It is used by the
// session's goroutine.
type Answer struct {
	life      *life
	placement *Placement
	from      io.Closer // what the server still answers with; nil where Envoy holds it
	usage     *modelapi.Answer
	begun     atomic.Bool // the client has been answered something
	whole     bool        // the server's answer came to its end
	broke     bool        // it broke off
}

// From takes over what a server answers with, to be closed at the session's end.
func (a *Answer) From(server io.Closer) { a.from = server }

// Begun notes that the client was answered something.
func (a *Answer) Begun() { a.begun.Store(true) }

// Whole notes that the server's answer came to its end.
func (a *Answer) Whole() { a.whole = true }

// ClientStalled notes that the client took nothing of the answer for too long.
func (a *Answer) ClientStalled() { a.life.untaken = true }

// BrokeOff notes that the server's answer broke off, unless it is this side that ended it.
func (a *Answer) BrokeOff() {
	if a.broke || a.life.ctx.Err() != nil {
		return
	}
	a.broke = true
	a.placement.Failed(metrics.BrokeOff)
}

// cutOff is why an answer that had begun broke off, for a request beyond a bound or nil; empty if
// it did not.
func (a *Answer) cutOff(over *bound) string {
	switch {
	case !a.begun.Load() || a.whole && over == nil:
		return ""
	case over != nil:
		return over.refusal.Code
	case a.life.ctx.Err() != nil:
		return a.life.ended().Code
	case a.broke:
		return UpstreamFailed().Code
	}
	return ""
}

// close closes what the server still answers with.
func (a *Answer) close() {
	if a.from != nil {
		_ = a.from.Close() // the connection's end is all that can come of it
	}
}
