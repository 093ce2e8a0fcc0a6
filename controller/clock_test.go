package controller

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/memory"
)

func TestClock(t *testing.T) {
	const most = 3 * time.Second
	start := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct {
		what                string
		steady, wall, leaps time.Duration
	}{
		{"time passes", time.Second, time.Second, 0},
		{"the wall's clock is corrected gently", time.Second, time.Second + time.Millisecond, 0},
		{"the wall's clock is set back", time.Second, -time.Hour, 0},
		{"the machine is suspended", 10 * time.Millisecond, 1010 * time.Millisecond, time.Second},
		{"for long", 10 * time.Millisecond, 24 * time.Hour, most},
	} {
		steady, wall := start, start
		c := clock{most: most, read: func() (time.Time, time.Time) { return steady, wall }}
		before := c.now()
		steady, wall = steady.Add(tc.steady), wall.Add(tc.wall)
		for n := range 2 { // it leaps once
			if passed := c.now().Sub(before); passed != tc.steady+tc.leaps {
				t.Errorf("%s: %v have passed at reading %d, want %v", tc.what, passed, n+1, tc.steady+tc.leaps)
			}
		}
	}
}

// holdable is a ledger with a way to it, on which turns can be held up.
type holdable struct {
	*memory.Ledger
	held atomic.Bool
}

func (*holdable) Inline() bool { return false }

func (l *holdable) Turn(ctx context.Context, s *store.Statement) (*store.Reply, error) {
	for l.held.Load() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, store.ErrUnavailable
		}
	}
	return l.Ledger.Turn(ctx, s)
}

// TestSuspendedMachine suspends the machine of a replica that has permits to let requests go
// by itself: its lease has ended meanwhile, and it asks before it lets another go.
func TestSuspendedMachine(t *testing.T) {
	var suspended atomic.Int64
	l := &holdable{Ledger: memory.New(memory.Config{})}
	c, err := NewController(l, WithLimit(100), WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}), func(o *options) {
		o.readClock = func() (steady, wall time.Time) {
			now := time.Now()
			return now, now.Round(0).Add(time.Duration(suspended.Load()))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(func() { l.held.Store(false) })
	goes := func(within time.Duration) bool {
		ctx, done := context.WithTimeout(t.Context(), within)
		defer done()
		r := &Request{Flow: policies.FlowKey{ID: "a"}}
		outcome, _ := c.EnqueueAndWait(ctx, r)
		if outcome == Dispatched {
			c.Release(r, Usage{})
		}
		return outcome == Dispatched
	}
	for until := time.Now().Add(20 * time.Second); ; {
		if time.Now().After(until) {
			t.Fatal("no request goes by a permit")
		}
		l.held.Store(false)
		for range 20 {
			if !goes(10 * time.Second) {
				t.Fatal("a request does not go while the ledger answers")
			}
		}
		l.held.Store(true)
		if goes(100 * time.Millisecond) {
			break
		}
	}
	suspended.Store(int64(time.Hour))
	if goes(100 * time.Millisecond) {
		t.Error("a request went by a permit that was given an hour ago")
	}
	l.held.Store(false)
	if !goes(10 * time.Second) {
		t.Error("no request goes once the ledger answers")
	}
}
