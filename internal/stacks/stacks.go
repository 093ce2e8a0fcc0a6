// Package stacks lends goroutines for what needs much of a stack, to goroutines that are about
// to wait in great numbers.
//
// A stack grows by doubling when a call needs more of it, and a goroutine that waits keeps it
// as large as anything it did before has made it: a garbage collection halves it only if less
// than a quarter is in use.
package stacks

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// mostIdle is how many goroutines a Pool keeps for later calls, so that these find stacks which
// have grown already.
const mostIdle = 64

// Pool is goroutines that call functions for others. It is safe for concurrent use.
type Pool struct {
	calls  chan *call // to those that are idle
	idle   atomic.Int32
	closed chan struct{}
}

// call is a call of a function for another goroutine.
type call struct {
	function func()
	ended    chan ending
}

// ending is how a call ended: it returned, or panicked, or ended its goroutine.
type ending struct {
	panicked any
	exited   bool
}

// New returns a Pool, to be closed.
func New() *Pool { return &Pool{calls: make(chan *call), closed: make(chan struct{})} }

// Close ends the goroutines that are idle, and has the others end once they are. Do may still
// be called.
func (p *Pool) Close() { close(p.closed) }

// Do calls the function on another goroutine, and returns when it does: the stack of the caller
// grows by nothing of it. If it panics, Do does: with the same value if that is
// http.ErrAbortHandler, and else with an error that says where it was. If it ends its goroutine
// by runtime.Goexit, as a failed test does, Do ends the caller's.
func (p *Pool) Do(function func()) {
	c := &call{function: function, ended: make(chan ending, 1)}
	select {
	case p.calls <- c:
	default:
		go p.work(c) // ends when it is idle and not needed, or the pool is closed
	}
	switch e := <-c.ended; {
	case e.exited:
		runtime.Goexit()
	case e.panicked != nil:
		panic(e.panicked)
	}
}

// work makes calls, beginning with this one.
func (p *Pool) work(c *call) {
	for {
		c.make()
		if p.idle.Add(1) > mostIdle {
			p.idle.Add(-1)
			return
		}
		select {
		case c = <-p.calls:
			p.idle.Add(-1)
		case <-p.closed:
			return
		}
	}
}

func (c *call) make() {
	e := ending{exited: true}
	defer func() {
		if v := recover(); v != nil {
			e = ending{panicked: passed(v)}
		}
		c.ended <- e
	}()
	c.function()
	e.exited = false
}

// passed is what the caller is to panic with where the function did with v.
func passed(v any) any {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return v
	}
	return fmt.Errorf("%v\n\n%s", v, debug.Stack())
}
