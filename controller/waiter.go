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

var waiters = sync.Pool{New: func() any { return &waiter{decided: make(chan struct{}, 1)} }}

func newWaiter() *waiter { return waiters.Get().(*waiter) }

// free hands the waiter back; its signal has been received.
func (w *waiter) free() {
	w.request, w.outcome, w.err = core.Request{}, core.NotDecided, nil
	waiters.Put(w)
}

func (w *waiter) decide(outcome Outcome, err error) {
	w.outcome, w.err = outcome, err
	w.decided <- struct{}{}
}
