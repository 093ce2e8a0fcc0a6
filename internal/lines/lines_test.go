package lines_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/lines"
)

// TestUnread has nobody read lines for a while: who writes them does not wait, those beyond the
// room are counted, and how many is told once the others have been taken.
func TestUnread(t *testing.T) {
	reader, writer := io.Pipe()
	var told atomic.Uint64
	w := lines.New(writer, lines.Config{Lost: func(n uint64) { told.Store(n) }})
	const n = 9000
	long := strings.Repeat("x", 1000)
	for i := range n {
		if _, err := fmt.Fprintln(w, i, long); err != nil {
			t.Fatal(err)
		}
	}
	lost := w.Lost()
	if lost == 0 || lost >= n {
		t.Fatalf("%d lines of %d are lost", lost, n)
	}
	synced := make(chan struct{})
	go func() {
		_ = w.Sync()
		close(synced)
	}()
	last, text := -1, bufio.NewScanner(reader)
	for range n - lost {
		if !text.Scan() {
			t.Fatal(text.Err())
		}
		var i int
		if _, err := fmt.Sscan(text.Text(), &i); err != nil || i <= last {
			t.Fatalf("line %d after %d: %v", i, last, err)
		}
		last = i
	}
	<-synced
	for began := time.Now(); told.Load() != lost; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%d lines are told to be lost, %d are", told.Load(), lost)
		}
	}
	w.Close()
	if _, err := fmt.Fprintln(w, "late"); err != nil || w.Lost() != lost+1 {
		t.Errorf("a line after the end: %v, %d are lost in all", err, w.Lost())
	}
}
