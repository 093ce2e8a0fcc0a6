package gateway

import (
	"context"
	"fmt"
	"sync"
)

// attendance is which sessions a pool has. It is safe for concurrent use.
type attendance struct {
	mu       sync.Mutex
	sessions map[*life]struct{}
	cut      bool // whoever comes is ended at once
	awaited  []chan struct{}
}

// enter takes in a session, whose context it may end until the session leaves.
func (a *attendance) enter(s *life) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions == nil {
		a.sessions = make(map[*life]struct{})
	}
	a.sessions[s] = struct{}{}
	if a.cut {
		s.cancel(poolGivenUp())
	}
}

// leave lets a session go that holds nothing any more.
func (a *attendance) leave(s *life) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if delete(a.sessions, s); len(a.sessions) > 0 {
		return
	}
	for _, none := range a.awaited {
		close(none)
	}
	a.awaited = nil
}

// Cut ends the pool's requests, and whichever still come.
func (p *Pool) Cut() {
	a := &p.attendance
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cut = true
	for s := range a.sessions {
		s.cancel(poolGivenUp())
	}
}

// Await waits until the pool has no request, of those too that go while flow control is only
// played; or for ctx to end.
func (p *Pool) Await(ctx context.Context) error {
	a := &p.attendance
	a.mu.Lock()
	left := len(a.sessions)
	none := make(chan struct{})
	if left > 0 {
		a.awaited = append(a.awaited, none)
	}
	a.mu.Unlock()
	if left == 0 {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d requests have not ended: %w", left, ctx.Err())
	}
}
