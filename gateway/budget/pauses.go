package budget

import (
	"time"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
)

// patience is for how long a pause may be passed by others whose flows hold less. Without it, those could
// keep on coming while bytes that were made free for it never suffice.
const patience = 2 * time.Second

// pauses are the waits for bytes. The next one is that of the flow that would hold least, so that a small
// request waits for no growth of large ones, and of those alike the one that came first. One that
// has lasted for patience comes before all, in the order of coming.
//
// Invariant: promised is the sum of what they wait for, and each holder's asked that of its own.
type pauses struct {
	promised int64 // bytes
	least    heap.Heap[*pause]
	oldest   list.List[*pause] // the first that came in front
	came     uint64            // how many there were
}

// pause is a part's wait for bytes.
type pause struct {
	part  *Part
	bytes int64
	would int64 // what its flow would hold, with all for which it waited already
	order uint64
	since time.Time
	over  chan struct{} // closed at its end, after which err says what it came to
	err   error
	node  list.Node[*pause]
	index int
}

func (s *pauses) init() {
	s.least.Init(func(x, y *pause) bool {
		if x.would != y.would {
			return x.would < y.would
		}
		return x.order < y.order
	}, func(w *pause) *int { return &w.index })
}

func (s *pauses) none() bool { return s.least.Len() == 0 }

// begin has a part wait for bytes. Its caller has made room for them.
func (s *pauses) begin(p *Part, bytes int64) *pause {
	s.came++
	w := &pause{
		part: p, bytes: bytes, would: p.holder.bytes + p.holder.asked + bytes,
		order: s.came, since: time.Now(), over: make(chan struct{}),
	}
	w.node.Value, p.pause = w, w
	s.least.Push(w)
	s.oldest.PushBack(&w.node)
	s.promised += bytes
	p.holder.asked += bytes
	return w
}

// next is the pause that ends first. There must be one.
func (s *pauses) next() *pause {
	if w, _ := s.oldest.Front(); time.Since(w.since) >= patience {
		return w
	}
	return s.least.Min()
}

// finish ends a part's wait.
func (s *pauses) finish(w *pause, err error) {
	s.least.Remove(w)
	w.node.Remove()
	s.promised -= w.bytes
	w.part.holder.asked -= w.bytes
	w.part.pause, w.err = nil, err
	close(w.over)
}
