//go:build unix

package pause

import (
	"os"
	"syscall"
	"testing"
)

// Stop stops a process until Continue.
func Stop(tb testing.TB, p *os.Process) {
	tb.Helper()
	send(tb, p, syscall.SIGSTOP)
}

// Continue lets a stopped process go on.
func Continue(tb testing.TB, p *os.Process) {
	tb.Helper()
	send(tb, p, syscall.SIGCONT)
}

func send(tb testing.TB, p *os.Process, signal os.Signal) {
	tb.Helper()
	if err := p.Signal(signal); err != nil {
		tb.Fatal(err)
	}
}
