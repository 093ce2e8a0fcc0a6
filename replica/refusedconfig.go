package replica

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/metrics"
)

// refusedConfig is why not all is in effect that the configuration asks for: a file that was refused,
// and pools that could not be opened. Each ends by its own repair alone. It is safe for
// concurrent use.
type refusedConfig struct {
	figures *metrics.Process

	mu    sync.Mutex         // comes after that of pools
	file  *api.RefusedConfig // nil for one that is in effect
	pools map[string]*api.RefusedConfig
}

func newRefusedConfig(figures *metrics.Process) *refusedConfig {
	figures.ConfigInEffect(true)
	return &refusedConfig{figures: figures, pools: make(map[string]*api.RefusedConfig)}
}

// refuseFile notes that a changed file stays without effect.
func (f *refusedConfig) refuseFile(why string) {
	f.change(func() { f.file = &api.RefusedConfig{At: time.Now(), Why: why} })
}

// takeFile notes that the file is in effect.
func (f *refusedConfig) takeFile() { f.change(func() { f.file = nil }) }

// notOpened notes why a pool could not be opened, and reports whether that was known.
func (f *refusedConfig) notOpened(pool, why string) (known bool) {
	f.change(func() {
		was := f.pools[pool]
		if known = was != nil && was.Why == why; !known {
			f.pools[pool] = &api.RefusedConfig{At: time.Now(), Why: why}
		}
	})
	return known
}

// opened notes that a pool is open.
func (f *refusedConfig) opened(pool string) { f.change(func() { delete(f.pools, pool) }) }

// forget forgets those pools that are not wanted any more.
func (f *refusedConfig) forget(wanted func(pool string) bool) {
	f.change(func() {
		maps.DeleteFunc(f.pools, func(pool string, _ *api.RefusedConfig) bool { return !wanted(pool) })
	})
}

func (f *refusedConfig) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.figures.ConfigInEffect(f.file == nil && len(f.pools) == 0)
}

// toldPools is how many pools are told of that could not be opened: where Redis is away it may
// be all of them, for the same reason.
const toldPools = 3

// told is what operators are told, the latest time and every reason; nil if all is in effect.
func (f *refusedConfig) told() *api.RefusedConfig {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*api.RefusedConfig
	if f.file != nil {
		all = append(all, f.file)
	}
	for n, pool := range slices.Sorted(maps.Keys(f.pools)) {
		if n == toldPools {
			more := fmt.Sprintf("%d more pools could not be opened", len(f.pools)-n)
			all = append(all, &api.RefusedConfig{At: f.pools[pool].At, Why: more})
			break
		}
		all = append(all, f.pools[pool])
	}
	if len(all) == 0 {
		return nil
	}
	told := &api.RefusedConfig{}
	var why []string
	for _, of := range all {
		why = append(why, of.Why)
		if of.At.After(told.At) {
			told.At = of.At
		}
	}
	told.Why = strings.Join(why, "; ")
	return told
}
