package stacks

import (
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deep needs 64 kB of stack.
func deep(levels int) byte {
	var frame [1 << 10]byte
	frame[levels] = byte(levels)
	if levels > 0 {
		frame[0] = deep(levels - 1)
	}
	return frame[0] + frame[levels]
}

// inUse is how many bytes the stacks of all goroutines have.
func inUse() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64()) //nolint:gosec // it fits
}

// TestCallerStaysSmall wants goroutines that had something deep done and now wait to have
// next to nothing of a stack.
func TestCallerStaysSmall(t *testing.T) {
	p := New()
	defer p.Close()
	const n, most = 1000, 6 << 10
	var done, ended sync.WaitGroup
	release := make(chan struct{})
	before := inUse()
	done.Add(n)
	for range n {
		ended.Go(func() {
			p.Do(func() { deep(60) })
			done.Done()
			<-release
		})
	}
	done.Wait()
	each := (inUse() - before - mostIdle*(128<<10)) / n
	close(release)
	ended.Wait()
	if each > most {
		t.Errorf("a goroutine that waits has %d bytes of stack, want at most %d", each, most)
	}
}

// TestCallsAtATime wants calls that do not wait for each other, however many there are.
func TestCallsAtATime(t *testing.T) {
	p := New()
	var begun, ended sync.WaitGroup
	begun.Add(3 * mostIdle)
	for range 3 * mostIdle {
		ended.Go(func() {
			p.Do(func() {
				begun.Done()
				begun.Wait()
			})
		})
	}
	ended.Wait()
	p.Close()
	called := false
	p.Do(func() { called = true })
	if !called {
		t.Error("a closed pool did not call")
	}
}

// TestPanics wants a panic to go on in the caller, and the goroutine to be lent again.
func TestPanics(t *testing.T) {
	p := New()
	defer p.Close()
	caught := func(f func()) (v any) {
		defer func() { v = recover() }()
		p.Do(f)
		return nil
	}
	if v := caught(func() { panic(http.ErrAbortHandler) }); v != http.ErrAbortHandler { //nolint:errorlint // net/http compares so
		t.Errorf("http.ErrAbortHandler became %v", v)
	}
	v := caught(func() { panic("out of order") })
	if err, ok := v.(error); !ok || !strings.Contains(err.Error(), "out of order") || !strings.Contains(err.Error(), "TestPanics") {
		t.Errorf("a panic became %v, want what it said and where it was", v)
	}
	if v := caught(func() {}); v != nil {
		t.Errorf("after panics: %v", v)
	}
}

// TestExits wants what ends its goroutine to end the caller's, and no other.
func TestExits(t *testing.T) {
	p := New()
	defer p.Close()
	returned := make(chan bool, 1)
	var caller sync.WaitGroup
	caller.Go(func() {
		did := false
		defer func() { returned <- did }()
		p.Do(runtime.Goexit)
		did = true
	})
	caller.Wait()
	if <-returned {
		t.Error("the caller went on")
	}
	called := false
	if p.Do(func() { called = true }); !called {
		t.Error("the pool calls no more")
	}
}
