package replica

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"go.uber.org/zap"
)

// TestMemoryBudget wants half of what the process may have where nothing was asked for.
func TestMemoryBudget(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	second := fstest.MapFS{
		"proc/self/cgroup":               file("0::/pods/one\n"),
		"sys/fs/cgroup/pods/memory.max":  file("1073741824\n"),
		"sys/fs/cgroup/pods/one/cpu.max": file("max\n"), "sys/fs/cgroup/pods/one/memory.max": file("max\n"),
	}
	first := fstest.MapFS{
		"proc/self/cgroup":                           file("5:cpu,cpuacct:/x\n4:memory:/x\n"),
		"sys/fs/cgroup/memory/memory.limit_in_bytes": file("2147483648\n"), "sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("9223372036854771712\n"),
	}
	for _, c := range []struct {
		name        string
		root        fstest.MapFS
		environment int64
		asked, want int64
	}{
		{"nothing known", fstest.MapFS{}, math.MaxInt64, 0, unknownBudget},
		{"asked for", second, math.MaxInt64, 100 << 20, 100 << 20},
		{"second version", second, math.MaxInt64, 0, 512 << 20},
		{"first version", first, math.MaxInt64, 0, 1 << 30},
		{"GOMEMLIMIT", second, 600 << 20, 0, 300 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(c.environment))
			if got := memoryBudget(c.asked, c.root, zap.NewNop()); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
			if limit := debug.SetMemoryLimit(-1); (c.environment != math.MaxInt64) != (limit == c.environment) || limit < c.want {
				t.Errorf("the collector keeps to %d with a budget of %d", limit, c.want)
			}
		})
	}
}
