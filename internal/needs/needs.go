// Package needs says what tests need of the machine they run on, and what becomes of
// them where it is not there.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Tool wants a command to be there.
func Tool(tb testing.TB, name string) {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		Lacking(tb, "%s is not on this machine", name)
	}
}

// Lacking skips the test for want of something that can be installed, or fails it if
// WEIR_REQUIRE_ALL is set.
func Lacking(tb testing.TB, format string, args ...any) {
	tb.Helper()
	what := fmt.Sprintf(format, args...)
	if os.Getenv("WEIR_REQUIRE_ALL") != "" {
		tb.Fatalf("needed: %s", what)
	}
	tb.Skipf("skipped: %s", what)
}
