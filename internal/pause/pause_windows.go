package pause

import (
	"os"
	"testing"
)

// Stop skips the test: Windows has no such signal.
func Stop(tb testing.TB, _ *os.Process) {
	tb.Helper()
	tb.Skip("skipped: a process cannot be stopped for a while on Windows")
}

// Continue is not reached.
func Continue(tb testing.TB, _ *os.Process) {
	tb.Helper()
	tb.Fatal("continued without a stop")
}
