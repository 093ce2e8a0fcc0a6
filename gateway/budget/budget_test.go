package budget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBudgetIsShared wants the flow that holds most to lose its newest request to one that
// holds less, and to be refused itself.
func TestBudgetIsShared(t *testing.T) {
	b := New(110)
	ctx := t.Context()
	ended := make(chan int, 10)
	var large []*Part
	for i := range 3 {
		p := b.Open("large", func() { ended <- i })
		if err := p.Take(ctx, 30); err != nil {
			t.Fatal(err)
		}
		large = append(large, p)
	}
	if err := b.Open("large", func() {}).Take(ctx, 20); !errors.Is(err, ErrUsedUp) {
		t.Errorf("the flow that holds most takes more: %v", err)
	}
	small := b.Open("small", func() { t.Error("the small one was ended") })
	taken := make(chan error, 1)
	go func() { taken <- small.Take(ctx, 30) }()
	if i := <-ended; i != 2 {
		t.Errorf("number %d was ended, want the newest", i)
	}
	select {
	case err := <-taken:
		t.Errorf("there was no room yet: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	large[2].Close()
	if err := <-taken; err != nil {
		t.Errorf("with room: %v", err)
	}
	large[1].Keep()
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	if err := b.Open("other", func() {}).Take(short, 25); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v before anybody let go of anything", err)
	}
	if i := <-ended; i != 0 {
		t.Errorf("number %d was ended, want the one that is not kept", i)
	}
}

// TestNobodyIsEndedForNothing wants requests to be ended only if that makes room, and the newest
// of them to be ended first afterwards.
func TestNobodyIsEndedForNothing(t *testing.T) {
	b := New(100)
	ended := make(chan int, 10)
	for i := range 10 {
		if err := b.Open("many", func() { ended <- i }).Take(t.Context(), 8); err != nil {
			t.Fatal(err)
		}
	}
	one := b.Open("one", func() {})
	for range 3 {
		if err := one.Take(t.Context(), 60); !errors.Is(err, ErrUsedUp) {
			t.Fatalf("%v, though the other flow would be left with less", err)
		}
	}
	if len(ended) > 0 {
		t.Errorf("%d requests were ended for one that was refused", len(ended))
	}
	go func() { _ = one.Take(t.Context(), 30) }()
	for _, want := range []int{9, 8} {
		if i := <-ended; i != want {
			t.Errorf("number %d was ended, want %d", i, want)
		}
	}
}

// TestLentMemoryIsWaitedFor wants nobody to be ended for bytes that are lent, since they come back soon,
// and no more to be lent while somebody waits.
func TestLentMemoryIsWaitedFor(t *testing.T) {
	b := New(100)
	many := b.Open("many", func() { t.Error("a request was ended for what is lent") })
	if err := many.Take(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
	if b.Lend(51) || !b.Lend(40) || b.Lend(11) {
		t.Error("other than a half of the budget, as far as it is free, is lent")
	}
	taken := make(chan error, 1)
	one := b.Open("one", func() {})
	go func() { taken <- one.Take(t.Context(), 30) }()
	awaitPauses(b, 1)
	if b.Lend(1) {
		t.Error("more is lent, though somebody waits")
	}
	b.TakeBack(20)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	b.TakeBack(20)
	many.Close()
	one.Close()
	if _, used := b.Figures(); used != 0 || b.lent != 0 {
		t.Errorf("%d bytes used, %d lent, though all were given back", used, b.lent)
	}
}

// TestBudgetPausesEnd wants whoever waits for bytes to go on when its context ends, and
// nothing to be left of it.
func TestBudgetPausesEnd(t *testing.T) {
	b := New(100)
	large := b.Open("large", func() {})
	if err := large.Take(t.Context(), 90); err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	small := b.Open("small", func() {})
	taken := make(chan error, 1)
	go func() { taken <- small.Take(ctx, 50) }()
	time.Sleep(time.Millisecond)
	cancel(gone)
	if err := <-taken; !errors.Is(err, gone) {
		t.Errorf("%v, want the context's cause", err)
	}
	large.Close()
	small.Close()
	if _, used := b.Figures(); used != 0 || b.promised != 0 || b.leaving != 0 || b.kept != 0 || len(b.holders) != 0 {
		t.Errorf("%d bytes used, %d promised, %d leaving, %d holders are left", used, b.promised, b.leaving, len(b.holders))
	}
}

// TestBudgetModel has many sessions of several flows take and give at once: never more
// than the budget is used, and nothing is left when all are gone.
func TestBudgetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 1000
		b := New(most)
		var sessions sync.WaitGroup
		for i := range rapid.IntRange(1, 20).Draw(t, "sessions") {
			flow := fmt.Sprint("flow-", rapid.IntRange(0, 3).Draw(t, "flow"))
			takes := rapid.SliceOfN(rapid.Int64Range(1, 300), 1, 6).Draw(t, "takes")
			sessions.Go(func() {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				p := b.Open(flow, func() { cancel(ErrUsedUp) })
				defer p.Close()
				for _, n := range takes {
					if p.Take(ctx, n) != nil {
						return
					}
					if _, used := b.Figures(); used > most {
						t.Errorf("%d used of %d", used, most)
					}
				}
				if i%3 == 0 {
					p.Keep()
					p.GiveBack(takes[0])
				}
			})
		}
		done := make(chan struct{})
		go func() { sessions.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(60 * time.Second):
			t.Fatal("somebody waits for ever")
		}
		if _, used := b.Figures(); used != 0 || b.promised != 0 || b.leaving != 0 || b.kept != 0 || len(b.holders) != 0 || b.largest.Len() != 0 {
			t.Errorf("%d bytes used, %d promised, %d leaving, %d holders are left", used, b.promised, b.leaving, len(b.holders))
		}
	})
}

// TestDispatchedRequestsLeaveRoom wants a flow whose requests cannot be ended any more to leave
// room for the next, and to be the one that holds most.
func TestDispatchedRequestsLeaveRoom(t *testing.T) {
	b := New(800)
	refused := 0
	for range 10 {
		p := b.Open("large", func() { t.Error("a dispatched request was ended") })
		if err := p.Take(t.Context(), 100); err != nil {
			refused++
			p.Close()
			continue
		}
		p.Keep()
	}
	if refused != 3 {
		t.Errorf("%d of 10 requests of an eighth were refused, want 3", refused)
	}
	small := b.Open("small", func() {})
	if err := small.Take(t.Context(), 60); err != nil {
		t.Errorf("a flow that holds nothing: %v", err)
	}
	ended := false
	waiting := b.Open("large", func() { ended = true })
	if err := waiting.Take(t.Context(), 1); !errors.Is(err, ErrUsedUp) {
		t.Errorf("the flow that has its share takes more: %v", err)
	}
	if small.Keep(); ended {
		t.Error("a request was ended though there was room")
	}
}
