package admin

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// heldPart is what the requests of a class held by one replica since that started.
type heldPart struct {
	Priority    int     `json:"p,omitempty"`
	Group       string  `json:"g,omitempty"`
	SlotSeconds float64 `json:"s"`
}

func (h *heldPart) class() class { return class{h.Priority, h.Group} }

// heldHere adds up what this replica's flows hold, by the class that each is in as it is held.
// It is safe for concurrent use.
type heldHere struct {
	meter *flows.Meter
	mu    sync.Mutex
	sums  map[class]float64
}

// parts are the sums until now, with groups as they are now.
func (h *heldHere) parts(groups func(id string) []shard.Group) []heldPart {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sums == nil {
		h.sums = make(map[class]float64)
	}
	h.meter.Held(func(key policies.FlowKey, held time.Duration) {
		h.sums[class{priority: key.Priority}] += held.Seconds()
		if groups == nil {
			return
		}
		for _, g := range groups(key.ID) {
			h.sums[class{group: g.Path}] += held.Seconds()
		}
	})
	parts := make([]heldPart, 0, len(h.sums))
	for of, sum := range h.sums {
		parts = append(parts, heldPart{of.priority, of.group, sum})
	}
	return parts
}

// windows are the times that are told of, in minutes.
var windows = [...]int{1, 5, 60}

// fine is for how long every sample is kept; after that there is one a minute.
const fine = 5 * time.Minute

// had remembers what classes had over the fleet in the last hour, as this replica watched it. It
// is safe for concurrent use.
type had struct {
	mu       sync.Mutex
	began    time.Time   // the first sample's
	taken    int         // samples of all time
	samples  []hadSample // oldest first
	sums     map[class]hadSum
	replicas map[string]heldBy
	accounts map[class]store.Guarantee // as they were last
}

// hadSum is what a class held in slot-seconds, and for how many seconds it was below its guarantee
// while it waited, since had began.
type hadSum struct{ held, below float64 }

type hadSample struct {
	at   time.Time
	sums map[class]hadSum
}

// heldBy is what a run of a replica held when it was last heard of.
type heldBy struct {
	started time.Time // by its own clock, to tell runs apart
	heard   int       // in which sample
	sums    map[class]float64
}

// unheard is for how many samples a replica may not be heard of, and what it held meanwhile still
// counts, all in the sample in which it is heard again. What it held for longer is lost: nobody
// knows when that was.
const unheard = 2

// add takes in what the replicas say at a time, which is of a clock that does not go back. What
// one held before it was first heard of is left out, and so is what it held just before it ended.
func (h *had) add(at time.Time, parts []partOf[statePart]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sums == nil {
		h.began, h.sums, h.replicas, h.accounts = at, make(map[class]hadSum), make(map[string]heldBy), make(map[class]store.Guarantee)
	}
	h.taken++
	for i := range parts {
		h.addReplica(parts[i].replica, &parts[i].part)
	}
	for of, account := range accounts(parts) {
		was, known := h.accounts[of]
		if account.Got < was.Got { // the ledger forgot, and counts anew
			was.Below = 0
		}
		if sum := h.sums[of]; known {
			sum.below += max(0, account.Below-was.Below)
			h.sums[of] = sum
		}
		h.accounts[of] = account
	}
	sample := hadSample{at, make(map[class]hadSum, len(h.sums))}
	for of, sum := range h.sums {
		sample.sums[of] = sum
	}
	h.samples = append(h.samples, sample)
	h.thin(at)
	h.forget()
}

func (h *had) addReplica(id string, part *statePart) {
	was, known := h.replicas[id]
	known = known && h.taken-was.heard <= unheard+1
	if !was.started.Equal(part.Started) { // it began anew
		was = heldBy{}
	}
	now := heldBy{part.Started, h.taken, make(map[class]float64, len(part.Held))}
	for i := range part.Held {
		of, held := part.Held[i].class(), part.Held[i].SlotSeconds
		now.sums[of] = held
		if more := held - was.sums[of]; known && more > 0 {
			sum := h.sums[of]
			sum.held += more
			h.sums[of] = sum
		}
	}
	h.replicas[id] = now
}

// forget leaves out classes that had nothing in the longest window, and replicas that were not
// heard of for as long as counts.
func (h *had) forget() {
	maps.DeleteFunc(h.replicas, func(_ string, by heldBy) bool { return h.taken-by.heard > unheard })
	for of, sum := range h.sums {
		if h.samples[0].sums[of] != sum {
			continue
		}
		delete(h.sums, of)
		for i := range h.samples { // it would have had less than nothing since
			delete(h.samples[i].sums, of)
		}
	}
}

// thin forgets samples that are older than the longest window, and of those that are older than fine
// all but the first of each minute.
func (h *had) thin(now time.Time) {
	longest, minute := time.Duration(windows[len(windows)-1])*time.Minute, time.Time{}
	h.samples = slices.DeleteFunc(h.samples, func(sample hadSample) bool {
		switch of := sample.at.Truncate(time.Minute); {
		case now.Sub(sample.at) > longest:
			return true
		case now.Sub(sample.at) > fine && of.Equal(minute):
			return true
		default:
			minute = of
			return false
		}
	})
}

// hadPart is what one replica watched.
type hadPart struct {
	Began   time.Time    `json:"began"`
	Classes []hadOfClass `json:"classes"`
	Spans   []api.Had    `json:"spans"` // of a class that had nothing
}

type hadOfClass struct {
	Priority int       `json:"p,omitempty"`
	Group    string    `json:"g,omitempty"`
	Had      []api.Had `json:"h"`
}

// part is what was watched here, until the last sample.
func (h *had) part() hadPart {
	h.mu.Lock()
	defer h.mu.Unlock()
	part := hadPart{Began: h.began, Spans: h.of(class{})}
	for i := range part.Spans {
		part.Spans[i].Slots, part.Spans[i].BelowMS = 0, 0
	}
	for of := range h.sums {
		part.Classes = append(part.Classes, hadOfClass{of.priority, of.group, h.of(of)})
	}
	return part
}

// of is what a class had in each window, until the last sample.
func (h *had) of(of class) []api.Had {
	list := make([]api.Had, 0, len(windows))
	for _, minutes := range windows {
		window := api.Had{Minutes: minutes}
		if n := len(h.samples); n > 0 {
			last := h.samples[n-1]
			first, _ := slices.BinarySearchFunc(h.samples, last.at.Add(-time.Duration(minutes)*time.Minute), func(s hadSample, t time.Time) int { return s.at.Compare(t) })
			from := h.samples[first]
			if span := last.at.Sub(from.at); span > 0 {
				window.SpanMS = span.Milliseconds()
				window.Slots = (last.sums[of].held - from.sums[of].held) / span.Seconds()
				window.BelowMS = int64(1000 * (last.sums[of].below - from.sums[of].below))
			}
		}
		list = append(list, window)
	}
	return list
}

// longestWatched is what the replica watched that has for longest, so that all answer the same.
func longestWatched(parts []partOf[hadPart]) func(class) []api.Had {
	best := slices.MinFunc(parts, func(a, b partOf[hadPart]) int {
		if x, y := a.part.Began.IsZero(), b.part.Began.IsZero(); x != y {
			if x {
				return 1
			}
			return -1
		}
		return cmp.Or(a.part.Began.Compare(b.part.Began), cmp.Compare(a.replica, b.replica))
	})
	by := make(map[class][]api.Had, len(best.part.Classes))
	for _, c := range best.part.Classes {
		by[class{c.Priority, c.Group}] = c.Had
	}
	return func(of class) []api.Had {
		if had, known := by[of]; known {
			return had
		}
		return slices.Clone(best.part.Spans)
	}
}
