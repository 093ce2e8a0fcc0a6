package controller

import (
	"sync"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/store"
)

// waiter is where a caller of EnqueueAndWait waits. The driver fills in the
// outcome before it signals.
type waiter struct {
	request core.Request
	decided chan struct{}
	outcome Outcome
	err     error
	least   store.Load
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
	w.request, w.outcome, w.err, w.least = core.Request{}, core.NotDecided, nil, store.Load{}
	ws.pool.Put(w)
}

func (w *waiter) decide(d *core.Decision) {
	w.outcome, w.err, w.least = d.Outcome, d.Err, store.Load{Endpoint: d.Endpoint, InFlight: d.EndpointInFlight}
	w.decided <- struct{}{}
}
