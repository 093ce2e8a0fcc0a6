package main

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// scenario is a pool and its load.
type scenario struct {
	ledgers, slots, flows int
	service               time.Duration // of a request, on average; it is within a fifth of that
	every                 time.Duration // slots are moved between ledgers
	turn                  time.Duration // until a ledger has heard that it has more
	mean                  time.Duration // that a flow waits, and that it does not; 0: all wait always
	length                time.Duration
	seed                  uint64
}

// warmUp is left out of the gaps.
const warmUp = 2 * time.Second

// result is what came of it.
type result struct {
	used float64   // of the slots' time
	gaps []float64 // between the virtual times of two ledgers, in requests, sorted
	most int       // in flight in the pool
}

// gap is the quantile of the gaps.
func (r result) gap(q float64) float64 { return r.gaps[int(q*float64(len(r.gaps)-1))] }

// flow is a client that has requests without end while it waits.
type flow struct {
	ledger  *ledger
	waits   bool
	counter float64
	index   int // in its ledger's order; -1 outside
}

// ledger orders the flows that hash to it, and has a part of the slots.
//
// Invariant: inFlight <= max(has, what it had before), and the sum of max(has, inFlight)
// over the ledgers is at most the pool's slots.
type ledger struct {
	order    []*flow // a heap by counter
	waiting  int     // flows
	has      int     // slots
	coming   int     // that it is given and has not heard of
	inFlight int
	virtual  float64
}

func (l *ledger) Len() int           { return len(l.order) }
func (l *ledger) Less(i, j int) bool { return l.order[i].counter < l.order[j].counter }
func (l *ledger) Swap(i, j int) {
	l.order[i], l.order[j] = l.order[j], l.order[i]
	l.order[i].index, l.order[j].index = i, j
}

func (l *ledger) Push(f any) {
	f.(*flow).index = len(l.order)
	l.order = append(l.order, f.(*flow))
}

func (l *ledger) Pop() any {
	f := l.order[len(l.order)-1]
	l.order = l.order[:len(l.order)-1]
	f.index = -1
	return f
}

// pool is a run of a scenario.
type pool struct {
	scenario
	*rand.Rand
	ledgers  []*ledger
	flows    []*flow
	events   agenda
	last     int // event
	now      time.Duration
	inFlight int
	slotTime time.Duration
	result   result
}

// simulate runs a scenario.
func simulate(s scenario) result {
	p := &pool{scenario: s, Rand: rand.New(rand.NewPCG(s.seed, 0))}
	for i := range s.ledgers {
		p.ledgers = append(p.ledgers, &ledger{has: s.slots*(i+1)/s.ledgers - s.slots*i/s.ledgers})
	}
	for range s.flows {
		f := &flow{ledger: p.ledgers[p.IntN(s.ledgers)], index: -1}
		p.flows = append(p.flows, f)
		p.turnOn(f)
		if s.mean > 0 {
			p.flip(f)
		}
	}
	p.at(s.every, p.move)
	for len(p.events) > 0 && p.events[0].at <= s.length {
		e := heap.Pop(&p.events).(event)
		p.slotTime += time.Duration(p.inFlight) * (e.at - p.now)
		p.now = e.at
		e.do()
	}
	p.result.used = p.slotTime.Seconds() / (p.now.Seconds() * float64(s.slots))
	slices.Sort(p.result.gaps)
	return p.result
}

// flip has a flow come and go.
func (p *pool) flip(f *flow) {
	p.at(time.Duration(p.ExpFloat64()*float64(p.mean)), func() {
		if f.waits {
			f.waits = false
			f.ledger.waiting--
			heap.Remove(f.ledger, f.index)
		} else {
			p.turnOn(f)
		}
		p.flip(f)
	})
}

// turnOn has a flow wait: what it did not use before is not saved up.
func (p *pool) turnOn(f *flow) {
	f.waits = true
	f.counter = max(f.counter, f.ledger.virtual)
	f.ledger.waiting++
	heap.Push(f.ledger, f)
	p.grant(f.ledger)
}

// grant fills what slots a ledger has.
func (p *pool) grant(l *ledger) {
	for l.inFlight < l.has && len(l.order) > 0 {
		f := l.order[0]
		l.virtual = max(l.virtual, f.counter)
		f.counter++
		heap.Fix(l, 0)
		l.inFlight++
		p.inFlight++
		p.result.most = max(p.result.most, p.inFlight)
		p.at(time.Duration((0.8+0.4*p.Float64())*float64(p.service)), func() {
			l.inFlight--
			p.inFlight--
			p.grant(l)
		})
	}
}

// move gives each ledger the slots that its flows are due, and those by which its virtual
// time catches up with the others' within the next period. Slots are taken at once from who
// is to have fewer, and given once they are free.
func (p *pool) move() {
	due := p.due()
	free := p.slots
	for i, l := range p.ledgers {
		l.has = min(l.has, due[i])
		free -= max(l.has, l.inFlight) + l.coming
	}
	for i, l := range p.ledgers {
		more := min(due[i]-l.has-l.coming, free)
		if more <= 0 {
			continue
		}
		free -= more
		l.coming += more
		p.at(p.turn, func() {
			l.coming -= more
			l.has += more
			p.grant(l)
		})
	}
	if p.now > warmUp {
		p.measure()
	}
	p.at(p.every, p.move)
}

// due is how many slots each ledger should have.
func (p *pool) due() []int {
	waiting, mean := 0, 0.0
	for _, l := range p.ledgers {
		waiting += l.waiting
		mean += float64(l.waiting) * l.virtual
	}
	want, all := make([]float64, len(p.ledgers)), 0.0
	for i, l := range p.ledgers {
		if l.waiting == 0 {
			continue
		}
		behind := mean/float64(waiting) - l.virtual
		slots := float64(p.slots) / float64(waiting)              // of a flow
		catch := behind * float64(p.service) / float64(2*p.every) // half of it in a period
		want[i] = max(1, float64(l.waiting)*(slots+catch))
		all += want[i]
	}
	due, left := make([]int, len(want)), p.slots
	for i := range want {
		if all > 0 {
			due[i] = int(math.Floor(want[i] * float64(p.slots) / all))
			left -= due[i]
		}
	}
	for i := range due { // what rounding left
		if left > 0 && p.ledgers[i].waiting > 0 {
			due[i]++
			left--
		}
	}
	return due
}

// measure notes how far the ledgers where flows wait are apart.
func (p *pool) measure() {
	least, most := math.Inf(1), math.Inf(-1)
	for _, l := range p.ledgers {
		if l.waiting > 0 {
			least, most = min(least, l.virtual), max(most, l.virtual)
		}
	}
	if most >= least {
		p.result.gaps = append(p.result.gaps, most-least)
	}
}

// event is something that happens.
type event struct {
	at    time.Duration
	order int // among those of one time
	do    func()
}

// agenda is a heap of events.
type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(e any)   { *a = append(*a, e.(event)) }
func (a *agenda) Pop() any {
	e := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return e
}

// at has something happen after a time.
func (p *pool) at(after time.Duration, do func()) {
	p.last++
	heap.Push(&p.events, event{p.now + after, p.last, do})
}
