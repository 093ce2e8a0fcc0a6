package gateway

import (
	"context"
	"errors"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/gateway/refusal"
)

// life is how long a session goes on: its context, and why that ended. Whoever ends it says by
// the cause what its client is answered: a bound, a refusal, or one of the controller's errors.
type life struct {
	ctx    context.Context //nolint:containedctx // the session's life
	cancel context.CancelCauseFunc
	// untaken says that the client took nothing of the answer for too long: the connection,
	// and so the context, ends of that before its cause can be told.
	untaken bool
}

// over is the bound that the request went beyond, or nil.
func (l *life) over() (b *bound) {
	if l.untaken {
		return errClientStalled
	}
	errors.As(context.Cause(l.ctx), &b)
	return b
}

// ended is the answer to a request whose context ended.
func (l *life) ended() *refusal.Refusal {
	if over := l.over(); over != nil {
		return &over.refusal
	}
	cause := context.Cause(l.ctx)
	var refused *refusal.Refusal
	switch {
	case errors.As(cause, &refused):
		return refused
	case errors.Is(cause, controller.ErrEvicted):
		return evictedByOperator()
	}
	return ClientGone()
}
