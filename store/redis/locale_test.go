package redis

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store/storetest"
)

// TestLocale: the order of what ties is the same in whatever locale Redis runs. Its Lua compares
// texts as that does, by which "Z" comes after "a"; its sorted sets go by bytes.
func TestLocale(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "localedef", "-i", "en_US", "-f", "UTF-8", filepath.Join(dir, "en_US.UTF-8")).CombinedOutput(); err != nil { //nolint:gosec // a test
		t.Skipf("the locale cannot be made here: %v: %s", err, out)
	}
	t.Setenv("LOCPATH", dir)
	t.Setenv("LC_ALL", "en_US.UTF-8")
	storetest.Ties(t, open(redistest.Start(t).URL()))
}
