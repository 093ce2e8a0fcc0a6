package budget

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// awaitPauses waits until so many wait for bytes.
func awaitPauses(b *Budget, n int) {
	for paused := -1; paused != n; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		paused = b.least.Len()
		b.mu.Unlock()
	}
}

// take opens a part of the flow and takes the bytes, and returns where it says how that went.
func take(ctx context.Context, b *Budget, flow string, bytes int64) (*Part, <-chan error) {
	p, taken := b.Open(flow, func() {}), make(chan error, 1)
	go func() { taken <- p.Take(ctx, bytes) }()
	return p, taken
}

// TestSmallGoesBeforeLarge wants a small request to take what is free at once, though a large one waits for
// more, and nobody who would hold more to take what the large one waits for.
func TestSmallGoesBeforeLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		held := b.Open("held", func() {})
		if err := held.Take(t.Context(), 60); err != nil {
			t.Fatal(err)
		}
		if !b.Lend(30) {
			t.Fatal("nothing is lent")
		}
		large, grown := take(t.Context(), b, "large", 30)
		synctest.Wait()
		small, taken := take(t.Context(), b, "small", 5)
		synctest.Wait()
		select {
		case err := <-taken:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("5 of the 10 bytes that are free wait, as others wait for 30")
		}
		larger, others := take(t.Context(), b, "larger", 31)
		b.TakeBack(25)
		synctest.Wait()
		if len(grown) != 1 || <-grown != nil || len(others) != 0 {
			t.Error("not the one that would hold least was next")
		}
		held.Close()
		if err := <-others; err != nil {
			t.Error(err)
		}
		for _, p := range []*Part{large, small, larger} {
			p.Close()
		}
	})
}

// TestPatienceEnds wants a large request that small ones have passed by for long enough to be next.
func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		held := b.Open("held", func() {})
		if err := held.Take(t.Context(), 50); err != nil {
			t.Fatal(err)
		}
		if !b.Lend(40) {
			t.Fatal("nothing is lent")
		}
		large, grown := take(t.Context(), b, "large", 20)
		time.Sleep(patience)
		small, taken := take(t.Context(), b, "small", 5)
		synctest.Wait()
		if len(taken) != 0 {
			t.Error("one that came later still passes by")
		}
		b.TakeBack(10)
		if err := <-grown; err != nil {
			t.Error(err)
		}
		b.TakeBack(30)
		if err := <-taken; err != nil {
			t.Error(err)
		}
		for _, p := range []*Part{held, large, small} {
			p.Close()
		}
	})
}

// TestEndedWaitForNothing wants a request that is ended for others, while it waits for bytes itself, to wait
// no more at that moment, and nobody to wait for what it waited for.
func TestEndedWaitForNothing(t *testing.T) {
	b := New(100)
	large := b.Open("large", func() {})
	if err := large.Take(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	if !b.Lend(30) {
		t.Fatal("nothing is lent")
	}
	grown := make(chan error, 1)
	go func() { grown <- large.Take(t.Context(), 40) }()
	awaitPauses(b, 1)
	small, taken := take(t.Context(), b, "small", 5)
	if err := <-taken; err != nil {
		t.Error(err)
	}
	if err := <-grown; !errors.Is(err, ErrUsedUp) {
		t.Errorf("%v, want %v: it was ended", err, ErrUsedUp)
	}
	if err := large.Take(t.Context(), 1); !errors.Is(err, ErrUsedUp) {
		t.Errorf("%v, want %v: it was ended before", err, ErrUsedUp)
	}
	large.Close()
	small.Close()
	b.TakeBack(30)
	if _, used := b.Figures(); used != 0 || b.promised != 0 || b.leaving != 0 {
		t.Errorf("%d bytes used, %d promised, %d leaving", used, b.promised, b.leaving)
	}
}

// TestOrderOfPauses wants those that wait to go on in the order of what their flow would hold with
// all that it waits for so far, and of those alike the first that came; and each as soon as there is
// room for it and for all before it.
func TestOrderOfPauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 2000
		type waiting struct {
			*pause
			would int64
		}
		b := New(most)
		asked, all := map[string]int64{}, []waiting{}
		if !b.Lend(most / 2) {
			t.Fatal("nothing is lent")
		}
		fill := b.Open("others", func() {})
		if err := fill.Take(t.Context(), most/2); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		for range rapid.IntRange(1, 12).Draw(t, "pauses") {
			flow, bytes := fmt.Sprint("flow-", rapid.IntRange(0, 3).Draw(t, "flow")), rapid.Int64Range(1, 80).Draw(t, "bytes")
			b.mu.Unlock()
			p := b.Open(flow, func() {})
			b.mu.Lock()
			asked[flow] += bytes
			all = append(all, waiting{b.begin(p, bytes), asked[flow]})
		}
		b.mu.Unlock()
		slices.SortStableFunc(all, func(x, y waiting) int { return cmp.Compare(x.would, y.would) })
		for back := int64(0); back < most/2; {
			step := min(rapid.Int64Range(1, 200).Draw(t, "back"), most/2-back)
			b.TakeBack(step)
			back += step
			sum := int64(0)
			for i, w := range all {
				sum += w.bytes
				went := false
				select {
				case <-w.over:
					went = true
				default:
				}
				if want := sum <= back; went != want {
					t.Fatalf("number %d, which waits for %d, went on: %v, want %v with %d bytes back and %d for it and those before", i, w.bytes, went, want, back, sum)
				}
			}
		}
		if b.promised != 0 || b.least.Len() != 0 || !b.oldest.Empty() {
			t.Errorf("%d promised, %d wait", b.promised, b.least.Len())
		}
	})
}
