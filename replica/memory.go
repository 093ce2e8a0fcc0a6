package replica

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// unknownBudget is the memory for requests, in bytes, where nothing says how much there is.
const unknownBudget = 1 << 30

// memoryBudget returns how many bytes requests may take: what was asked for, or else half
// of what the process may have, by GOMEMLIMIT or its control group. Without GOMEMLIMIT it
// has the garbage collector keep the process near the budget, or garbage would come on top
// of it.
func memoryBudget(asked int64, root fs.FS, log *zap.Logger) int64 {
	limit := debug.SetMemoryLimit(-1)
	given := limit != math.MaxInt64
	if !given {
		limit = groupLimit(root)
	}
	budget := asked
	switch {
	case asked > 0:
	case limit != math.MaxInt64:
		budget = limit / 2
	default:
		budget = unknownBudget
	}
	if !given {
		debug.SetMemoryLimit(budget + budget/8 + 32<<20)
	}
	if budget > limit/10*8 {
		log.Warn("requests may take nearly all the memory that this process has: give it more, or them less by weir.memoryBudget",
			zap.Int64("memory_budget", budget), zap.Int64("memory_limit", limit))
	}
	return budget
}

// groupLimit is the least memory limit, in bytes, of the process's control group and those
// around it.
func groupLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit // not Linux, or not to be known
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "":
			limit = min(limit, leastLimit(root, "sys/fs/cgroup", parts[2], "memory.max"))
		case strings.Contains(","+parts[1]+",", ",memory,"):
			limit = min(limit, leastLimit(root, "sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// leastLimit reads the file of a group and of all those around it. In a container the
// process's group may be mounted as the outermost.
func leastLimit(root fs.FS, mount, group, file string) int64 {
	limit := int64(math.MaxInt64)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		if text, err := fs.ReadFile(root, path.Join(mount, group, file)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 && n < 1<<60 { // none is "max", or a number beyond all memory
				limit = min(limit, n)
			}
		}
		if group == "/" {
			return limit
		}
	}
}
