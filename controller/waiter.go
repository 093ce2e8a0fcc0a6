package controller

import (
	"sync"

	"github.com/weirflow/weir/controller/core"
)

// waiter is where a caller of EnqueueAndWait waits. The driver fills in the
// outcome before it signals.
type waiter struct {
	request core.Request
	decided chan struct{}
	outcome Outcome
	err     error
}

// waiters lends waiters.
type waiters struct{ pool sync.Pool }

func (ws *waiters) get() *waiter {
	if w, ok := ws.pool.Get().(*waiter); ok {
		return w
	}
	return &waiter{decided: make(chan struct{}, 1)}
}

// put takes a waiter back; its signal has been received.
func (ws *waiters) put(w *waiter) {
	w.request, w.outcome, w.err = core.Request{}, core.NotDecided, nil
	ws.pool.Put(w)
}

func (w *waiter) decide(outcome Outcome, err error) {
	w.outcome, w.err = outcome, err
	w.decided <- struct{}{}
}
