package spread

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/store"
)

// Least is the part of its weight that a tenant has in a pool at least: with none it would
// never be served where it is new, and so never get any.
const Least = 1.0 / 50

const (
	// memory is the time over which what is held is averaged.
	memory = 4 * time.Second
	// stale is for how long what another replica held counts that says nothing new.
	stale = 10 * time.Second
	// noticed is by how much of it a part must have changed. Parts stay for a time from settled to
	// lasting, since to put others into effect has all that waits be ordered again: for evidence
	// over the square of how many slots what is held is off by, for each slot that the part would
	// have. Requests that come and go by chance are off by about one for each.
	noticed  = 0.03
	settled  = 2 * time.Second
	lasting  = 10 * time.Second
	evidence = 40 * time.Second
	// within is how long a try to reach the store may take.
	within = 2 * time.Second
	// negligible is what counts for nothing, in slots.
	negligible = 1e-3
)

// Config says what a Table is for.
type Config struct {
	// Replica is this process's id.
	Replica string
	// Store has what other processes' tenants hold; nil where there are none.
	Store store.Holdings
	// First is the number of the first holding that is put there, no earlier run's.
	First uint64
	// Logger gets what goes wrong; nothing by default.
	Logger *zap.Logger
}

// Pool is one of this process's pools.
type Pool interface {
	// Name is the pool's.
	Name() string
	// Held returns what each tenant held in the pool by this replica since Held was last called,
	// in slots times time. What it returns first, or after nil, is of any time and not counted.
	// Tenants whose share is of this pool alone are left out; nil if all are.
	Held() map[string]time.Duration
	// SetParts has each tenant's weight in the pool count for a part of it, from Least to 1; for
	// all of it where none is given. The map is not changed afterwards.
	SetParts(parts map[string]float64)
}

// Table shares out tenants' weights over pools. Its methods are safe for concurrent use.
type Table struct {
	cfg Config

	looking sync.Mutex        // one looks at a time; it is taken before mu
	others  map[string]*other // by replica and pool
	number  uint64
	failed  bool

	mu    sync.Mutex // never held while the store is asked: pools come and go meanwhile
	pools map[string]*account
}

// account is what is known of one of this process's pools.
type account struct {
	pool   Pool
	looked time.Time
	told   bool               // what was held until then
	slots  map[string]float64 // held by this replica, averaged
	put    bool               // the store keeps some of it
	parts  map[string]float64 // in effect
	set    time.Time          // since when
}

// other is what is known of a pool by another replica.
type other struct {
	store.Holding
	news time.Time // when it last changed
}

// New returns a table of no pools.
func New(cfg Config) *Table {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	return &Table{cfg: cfg, pools: make(map[string]*account), others: make(map[string]*other), number: cfg.First}
}

// Add adds a pool, and Remove removes it.
func (t *Table) Add(p Pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pools[p.Name()] = &account{pool: p, slots: make(map[string]float64)}
}

// Remove removes a pool: nothing more is set there.
func (t *Table) Remove(p Pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.pools[p.Name()]; a != nil && a.pool == p {
		delete(t.pools, p.Name())
	}
}

// Run shares out weights every second until ctx ends.
func (t *Table) Run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			t.Look(ctx, now)
		}
	}
}

// Look finds out what tenants hold, and sets their parts. Where none has a share over all pools
// it costs nothing.
func (t *Table) Look(ctx context.Context, now time.Time) {
	t.looking.Lock()
	defer t.looking.Unlock()
	here, any := t.look(now)
	if !any {
		return
	}
	t.exchange(ctx, now, here)
	t.forget(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	total, in := t.held()
	for name, a := range t.pools {
		a.share(in[name], total, now)
	}
}

// look averages what is held, and returns what the store is to keep of it. It reports whether any
// tenant has a share over all pools.
func (t *Table) look(now time.Time) (here []store.Holding, any bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, a := range t.pools {
		a.look(now)
		any = any || a.put || len(a.slots) > 0 || len(a.parts) > 0
		if len(a.slots) > 0 || a.put {
			here = append(here, store.Holding{Pool: name, Replica: t.cfg.Replica, Slots: most(a.slots)})
		}
	}
	return here, any
}

// look averages what is held.
func (a *account) look(now time.Time) {
	held := a.pool.Held()
	if passed := now.Sub(a.looked); passed > 0 {
		kept := math.Exp(-passed.Seconds() / memory.Seconds())
		for name := range a.slots {
			if a.slots[name] *= kept; a.slots[name] < negligible {
				delete(a.slots, name)
			}
		}
		if a.told {
			for name, slotTime := range held {
				a.slots[name] += (1 - kept) * slotTime.Seconds() / passed.Seconds()
			}
		}
	}
	a.looked, a.told = now, held != nil
}

// exchange tells the store what is held here, and learns what is elsewhere.
func (t *Table) exchange(ctx context.Context, now time.Time, put []store.Holding) {
	if t.cfg.Store == nil {
		return
	}
	t.number++
	for i := range put {
		put[i].Number = t.number
	}
	for _, o := range t.others {
		if now.Sub(o.news) > store.HoldingKept {
			put = append(put, store.Holding{Pool: o.Pool, Replica: o.Replica}) // it is gone
		}
	}
	trying, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	all, err := t.cfg.Store.Exchange(trying, put...)
	if failed := err != nil && ctx.Err() == nil; failed != t.failed {
		if t.failed = failed; failed {
			t.cfg.Logger.Warn("what tenants hold in other replicas' pools cannot be read: those with one share over all pools have one over this process's", zap.Error(err))
		}
	}
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range put {
		if a := t.pools[h.Pool]; a != nil && h.Replica == t.cfg.Replica {
			a.put = len(h.Slots) > 0
		}
	}
	kept := make(map[string]*other, len(all))
	for _, h := range all {
		if h.Replica == t.cfg.Replica && t.pools[h.Pool] != nil {
			continue // it is known better here
		}
		key := h.Replica + " " + h.Pool
		o := t.others[key]
		if o == nil || o.Number != h.Number {
			o = &other{h, now}
		}
		kept[key] = o
	}
	t.others = kept
}

// most are those that hold most, as many as a holding may have.
func most(slots map[string]float64) map[string]float64 {
	names := slices.Collect(maps.Keys(slots))
	if len(names) <= store.MaxHolding {
		return maps.Clone(slots)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(slots[b], slots[a]), strings.Compare(a, b)) })
	some := make(map[string]float64, store.MaxHolding)
	for _, name := range names[:store.MaxHolding] {
		some[name] = slots[name]
	}
	return some
}

// forget leaves out what others said too long ago.
func (t *Table) forget(now time.Time) {
	for _, o := range t.others {
		if now.Sub(o.news) > stale {
			o.Slots = nil
		}
	}
}

// held is what each tenant holds by all replicas: in all pools, and in each of this process's.
func (t *Table) held() (total map[string]float64, in map[string]map[string]float64) {
	total, in = make(map[string]float64), make(map[string]map[string]float64, len(t.pools))
	for name, a := range t.pools {
		in[name] = maps.Clone(a.slots)
		add(total, a.slots)
	}
	for _, o := range t.others {
		add(total, o.Slots)
		if here := in[o.Pool]; here != nil {
			add(here, o.Slots)
		}
	}
	return total, in
}

func add(to, from map[string]float64) {
	for name, slots := range from {
		to[name] += slots
	}
}

// share sets the parts of those who hold something in the pool, if they changed. Who is new there
// begins with its whole weight.
func (a *account) share(held, total map[string]float64, now time.Time) {
	parts, stays, changed := make(map[string]float64), lasting, false
	compare := func(name string) {
		was, is := whole(a.parts[name]), whole(parts[name])
		if off := math.Abs(is - was); off > noticed*min(is, was) {
			long := float64(evidence) * was / (off * off * total[name]) // without end for who holds nothing
			changed, stays = true, time.Duration(min(float64(stays), long))
		}
	}
	for name, here := range held {
		if part := max(Least, here/total[name]); part < 1-noticed {
			parts[name] = part
		}
		compare(name)
	}
	for name := range a.parts {
		compare(name)
	}
	if !changed || now.Sub(a.set) < max(stays, settled) {
		return
	}
	a.parts, a.set = parts, now
	a.pool.SetParts(parts)
}

// whole is a part, where 0 stands for all.
func whole(part float64) float64 {
	if part == 0 {
		return 1
	}
	return part
}
