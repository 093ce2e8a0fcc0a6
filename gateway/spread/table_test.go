package spread_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/gateway/spread"
	"github.com/weirflow/weir/store"
)

// fluid is a pool whose slots are shared out by weights at every moment.
type fluid struct {
	name     string
	slots    float64
	weights  map[string]float64
	demands  map[string]float64 // slots that each tenant would hold
	parts    map[string]float64
	served   map[string]float64
	slotTime map[string]time.Duration
	changes  int
}

func newFluid(name string, slots float64) *fluid {
	return &fluid{name: name, slots: slots, weights: make(map[string]float64), demands: make(map[string]float64), slotTime: make(map[string]time.Duration)}
}

func (f *fluid) Name() string { return f.name }

func (f *fluid) Held() map[string]time.Duration {
	defer clear(f.slotTime)
	return maps.Clone(f.slotTime)
}

func (f *fluid) SetParts(parts map[string]float64) { f.parts, f.changes = parts, f.changes+1 }

func (f *fluid) weight(tenant string) float64 {
	w := f.weights[tenant]
	if w == 0 {
		w = 1
	}
	if part := f.parts[tenant]; part > 0 {
		w *= part
	}
	return w
}

// serve has the tenants hold what is theirs for a time: who wants less than its share leaves the
// rest to the others.
func (f *fluid) serve(passed time.Duration) {
	f.served = make(map[string]float64)
	left, wanting := f.slots, slices.Sorted(maps.Keys(f.demands))
	for len(wanting) > 0 {
		sum := 0.0
		for _, n := range wanting {
			sum += f.weight(n)
		}
		content := slices.IndexFunc(wanting, func(n string) bool { return f.demands[n] <= left*f.weight(n)/sum })
		if content < 0 {
			for _, n := range wanting {
				f.served[n] = left * f.weight(n) / sum
			}
			break
		}
		n := wanting[content]
		f.served[n] = f.demands[n]
		left -= f.demands[n]
		wanting = slices.Delete(wanting, content, content+1)
	}
	for n, slots := range f.served {
		f.slotTime[n] += time.Duration(slots * float64(passed))
	}
}

// shelf is a store that can be away.
type shelf struct {
	kept map[string]store.Holding
	away bool
}

func (s *shelf) Exchange(_ context.Context, put ...store.Holding) (all []store.Holding, err error) {
	if s.away {
		return nil, errors.New("away")
	}
	for _, h := range put {
		if s.kept[h.Replica+" "+h.Pool] = h; len(h.Slots) == 0 {
			delete(s.kept, h.Replica+" "+h.Pool)
		}
	}
	return slices.Collect(maps.Values(s.kept)), nil
}

// world is pools, each in so many processes, which share each pool's slots evenly.
type world struct {
	now    time.Time
	shelf  *shelf
	tables []*spread.Table
	pools  [][]*fluid // by pool, then by process
}

func newWorld(processes int, slots ...float64) *world {
	w := &world{now: time.Unix(1_800_000_000, 0), shelf: &shelf{kept: make(map[string]store.Holding)}, pools: make([][]*fluid, len(slots))}
	for i := range processes {
		table := spread.New(spread.Config{Replica: fmt.Sprint("r", i), Store: w.shelf})
		w.tables = append(w.tables, table)
		for n, s := range slots {
			p := newFluid(fmt.Sprint("pool", n), s/float64(processes))
			w.pools[n] = append(w.pools[n], p)
			table.Add(p)
		}
	}
	return w
}

func (w *world) want(pool int, tenant string, slots float64) {
	for _, p := range w.pools[pool] {
		p.demands[tenant] = slots / float64(len(w.pools[pool]))
	}
}

func (w *world) run(d time.Duration) {
	for range int(d / time.Second) {
		w.now = w.now.Add(time.Second)
		for _, processes := range w.pools {
			for _, p := range processes {
				p.serve(time.Second)
			}
		}
		for _, t := range w.tables {
			t.Look(context.Background(), w.now)
		}
	}
}

// served is what a tenant holds in a pool.
func (w *world) served(pool int, tenant string) (slots float64) {
	for _, p := range w.pools[pool] {
		slots += p.served[tenant]
	}
	return slots
}

func (w *world) total(tenant string) (slots float64) {
	for n := range w.pools {
		slots += w.served(n, tenant)
	}
	return slots
}

// TestSpreadingGainsNothing has a tenant load three pools that three others load one each: all
// get as much. Without the table it would have three times as much as each.
func TestSpreadingGainsNothing(t *testing.T) {
	for _, processes := range []int{1, 3} {
		w := newWorld(processes, 24, 24, 24)
		for n, single := range []string{"b", "c", "d"} {
			w.want(n, "a", 100)
			w.want(n, single, 100)
		}
		w.run(time.Minute)
		for _, tenant := range []string{"a", "b", "c", "d"} {
			if got := w.total(tenant); got < 18*0.97 || got > 18*1.03 {
				t.Errorf("%d processes: %s holds %.1f slots of 72, want 18", processes, tenant, got)
			}
		}
		before := w.pools[0][0].changes
		w.run(time.Minute)
		if after := w.pools[0][0].changes; after != before {
			t.Errorf("%d processes: parts changed %d times in a minute in which nothing did", processes, after-before)
		}
	}
}

// TestAlone has nobody held back where no other wants anything, and left with the least where
// others do who have nothing else.
func TestAlone(t *testing.T) {
	w := newWorld(2, 10, 10)
	w.want(0, "a", 100)
	w.want(1, "a", 100)
	w.want(1, "b", 100)
	w.run(3 * time.Minute)
	if got := w.served(0, "a"); got < 9.99 {
		t.Errorf("a holds %.2f of the 10 slots that no other wants", got)
	}
	if got := w.served(1, "a"); got > 10*2*spread.Least || got < 10*spread.Least/2 {
		t.Errorf("a, which has a pool to itself, holds %.2f slots of the other, beside one that has nothing else", got)
	}
	w.want(0, "a", 0)
	w.run(30 * time.Second)
	if got := w.served(1, "a"); got < 4.5 {
		t.Errorf("a holds %.2f slots of the only pool that it still wants something of, want 5", got)
	}
}

// TestAway loses the store and what it keeps: each process then goes by its own pools, and by
// all once it is back.
func TestAway(t *testing.T) {
	w := newWorld(1, 10)
	elsewhere := newWorld(1, 10)
	elsewhere.pools[0][0].name = "elsewhere"
	elsewhere.tables[0] = spread.New(spread.Config{Replica: "other", Store: w.shelf})
	elsewhere.tables[0].Add(elsewhere.pools[0][0])
	for _, w := range []*world{w, elsewhere} {
		w.want(0, "a", 100)
		w.want(0, "b", 100)
	}
	elsewhere.want(0, "b", 0)
	both := func(d time.Duration) {
		for range int(d / time.Second) {
			w.run(time.Second)
			elsewhere.run(time.Second)
		}
	}
	expect := func(when string, from, to float64) {
		t.Helper()
		if got := w.served(0, "a"); got < from || got > to {
			t.Errorf("%s a holds %.2f slots, want from %v to %v", when, got, from, to)
		}
	}
	both(2 * time.Minute)
	expect("at first", 0.05, 0.5)
	w.shelf.away = true
	both(5 * time.Second)
	expect("soon after the store is gone", 0.05, 0.5)
	both(15 * time.Second)
	expect("long after the store is gone", 5, 5)
	w.shelf.away = false
	clear(w.shelf.kept)
	both(2 * time.Minute)
	expect("once it is back", 0.05, 0.5)
	elsewhere.tables = nil // killed: what it said stays, and is believed no longer
	both(20 * time.Second)
	expect("without the other process", 5, 5)
	if _, kept := w.shelf.kept["other elsewhere"]; !kept {
		t.Error("what it said is gone, though it may be heard of again")
	}
	both(store.HoldingKept)
	if _, kept := w.shelf.kept["other elsewhere"]; kept {
		t.Error("what it said is kept for good")
	}
}

// slow is a store that answers when it is told to.
type slow struct{ asked, answer chan struct{} }

func (s *slow) Exchange(context.Context, ...store.Holding) ([]store.Holding, error) {
	s.asked <- struct{}{}
	<-s.answer
	return []store.Holding{{Pool: "elsewhere", Replica: "other", Number: 1, Slots: map[string]float64{"a": 30}}}, nil
}

// TestPoolsComeAndGoBesideASlowStore wants no pool to wait for the store, and none to have parts set
// once it was removed.
func TestPoolsComeAndGoBesideASlowStore(t *testing.T) {
	s := &slow{make(chan struct{}), make(chan struct{})}
	table, now := spread.New(spread.Config{Replica: "r", Store: s}), time.Unix(1_800_000_000, 0)
	p := newFluid("pool", 10)
	p.demands["a"] = 10
	table.Add(p)
	table.Look(t.Context(), now)
	p.serve(time.Second)
	looked, moved := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		table.Look(t.Context(), now.Add(time.Second))
	}()
	<-s.asked
	go func() {
		defer close(moved)
		table.Add(newFluid("another", 10))
		table.Remove(p)
	}()
	select {
	case <-moved:
	case <-time.After(10 * time.Second):
		t.Error("pools wait for the store")
	}
	close(s.answer)
	<-looked
	<-moved
	if len(p.parts) > 0 {
		t.Errorf("parts were set in a pool that was removed: %v", p.parts)
	}
}

// TestFairOverPools has pools, tenants, weights and demands of any kind, and looks for envy:
// where a tenant wants more, nobody who has more over all pools has more than the least part.
func TestFairOverPools(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.SliceOfN(rapid.Float64Range(5, 100), 1, 4).Draw(rt, "slots")
		w := newWorld(rapid.IntRange(1, 2).Draw(rt, "processes"), slots...)
		tenants := []string{"a", "b", "c", "d", "e"}[:rapid.IntRange(2, 5).Draw(rt, "tenants")]
		weights := make(map[string]float64)
		for _, name := range tenants {
			weights[name] = rapid.Float64Range(0.5, 4).Draw(rt, "weight")
			for n := range slots {
				for _, p := range w.pools[n] {
					p.weights[name] = weights[name]
				}
				if demand := rapid.Float64Range(-50, 150).Draw(rt, "demand"); demand > 0 {
					w.want(n, name, demand)
				}
			}
		}
		w.run(10 * time.Minute)
		for n, pool := range w.pools {
			sum := 0.0
			for _, name := range tenants {
				sum += w.served(n, name)
			}
			for _, b := range tenants {
				if w.served(n, b) >= 0.99*pool[0].demands[b]*float64(len(pool)) {
					continue
				}
				if sum < slots[n]*0.999 {
					rt.Fatalf("in pool %d %s wants more, and %.2f of %.2f slots are held", n, b, sum, slots[n])
				}
				for _, a := range tenants {
					most := w.total(b)/weights[b]*1.1 + 0.5
					part := pool[0].parts[a]
					if atLeast := part > 0 && part <= 1.1*spread.Least; !atLeast && w.served(n, a) > 0.01 && w.total(a)/weights[a] > most {
						rt.Fatalf("in pool %d %s wants more, and %s holds %.2f of %.2f slots; over all pools by weight they have %.2f and %.2f",
							n, b, a, w.served(n, a), slots[n], w.total(b)/weights[b], w.total(a)/weights[a])
					}
				}
			}
		}
	})
}
