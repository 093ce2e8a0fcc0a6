package spread_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/spread"
)

// step is how often a pool of requests is looked at, each of which holds a slot for so many steps.
const (
	step = 100 * time.Millisecond
	hold = 10
)

// requests is a pool whose slots go to requests, one by one, each to the tenant that has been
// served least for its weight. They come by chance.
type requests struct {
	fluid
	chance  *rand.Rand
	tenants []string
	queued  map[string]int
	level   map[string]float64 // what each tenant was served, by weight
	running [hold][]string     // by the step in which they end
	free    int
	at      int
}

func newRequests(name string, slots int, tenants []string, demand float64) *requests {
	r := &requests{fluid: *newFluid(name, float64(slots)), chance: rand.New(rand.NewPCG(1, uint64(name[len(name)-1]))), tenants: tenants, queued: make(map[string]int), level: make(map[string]float64), free: slots}
	for _, n := range tenants {
		r.demands[n] = demand
	}
	return r
}

// pass has a step's requests end, come and go, and returns how many each tenant has in flight.
func (r *requests) pass() {
	r.at = (r.at + 1) % hold
	r.free += len(r.running[r.at])
	r.running[r.at] = r.running[r.at][:0]
	least := math.Inf(1)
	for n, queued := range r.queued {
		if queued > 0 {
			least = min(least, r.level[n])
		}
	}
	for _, n := range r.tenants {
		if r.chance.Float64() < r.demands[n]/hold {
			if r.queued[n]++; r.queued[n] == 1 && !math.IsInf(least, 1) {
				r.level[n] = max(r.level[n], least) // idling saves nothing
			}
		}
	}
	for ; r.free > 0; r.free-- {
		next := ""
		for _, n := range r.tenants {
			if r.queued[n] > 0 && (next == "" || r.level[n] < r.level[next]) {
				next = n
			}
		}
		if next == "" {
			break
		}
		r.queued[next]--
		r.level[next] += 1 / r.weight(next)
		r.running[r.at] = append(r.running[r.at], next)
	}
	for _, running := range r.running {
		for _, n := range running {
			r.slotTime[n] += step
		}
	}
}

// run has the pools' requests pass for so many seconds, and returns what each tenant held in them
// together, in slots.
func run(table *spread.Table, now *time.Time, seconds int, pools ...*requests) map[string]float64 {
	held := make(map[string]float64)
	for range seconds {
		for range int(time.Second / step) {
			for _, p := range pools {
				p.pass()
			}
		}
		for _, p := range pools {
			for n, d := range p.slotTime {
				held[n] += d.Seconds() / float64(seconds)
			}
		}
		*now = now.Add(time.Second)
		table.Look(context.Background(), *now)
	}
	return held
}

func named(prefix string, of int) (names []string) {
	for n := range of {
		names = append(names, fmt.Sprint(prefix, n))
	}
	return names
}

// TestChanceChangesLittle has 50 tenants load three pools evenly with requests that come by chance:
// what chance has each hold of a pool more or less has parts change no more than every few seconds.
func TestChanceChangesLittle(t *testing.T) {
	table, now := spread.New(spread.Config{Replica: "r"}), time.Unix(1_800_000_000, 0)
	var pools []*requests
	for _, name := range named("pool", 3) {
		p := newRequests(name, 64, named("t", 50), 1.2)
		pools = append(pools, p)
		table.Add(p)
	}
	run(table, &now, 30, pools...)
	for _, p := range pools {
		p.changes = 0
	}
	run(table, &now, 120, pools...)
	for _, p := range pools {
		if p.changes > 15 {
			t.Errorf("parts changed %d times in two minutes of even load in the %s", p.changes, p.name)
		}
	}
}

// TestManySmallTenants has as many tenants spread over three pools as load each of them alone, all
// of few slots: together they get as much as the others of one pool.
func TestManySmallTenants(t *testing.T) {
	const each = 12
	table, now := spread.New(spread.Config{Replica: "r"}), time.Unix(1_800_000_000, 0)
	var pools []*requests
	for _, name := range named("pool", 3) {
		p := newRequests(name, 48, slices.Concat(named("a", each), named(name, each)), 8)
		pools = append(pools, p)
		table.Add(p)
	}
	run(table, &now, 60, pools...)
	for _, p := range pools {
		p.changes = 0
	}
	held, spreading := run(table, &now, 60, pools...), 0.0
	for _, n := range named("a", each) {
		spreading += held[n]
	}
	if want := 3. * 48 / 4; spreading < 0.93*want || spreading > 1.07*want {
		t.Errorf("tenants that spread hold %.1f slots, want %.0f", spreading, want)
	}
	for _, p := range pools {
		if p.changes > 8 {
			t.Errorf("parts changed %d times in a minute of even load in the %s", p.changes, p.name)
		}
	}
}
