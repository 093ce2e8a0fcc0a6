// Package budget bounds the memory of requests, and shares it between their flows.
package budget

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/weirflow/weir/internal/heap"
	"github.com/weirflow/weir/internal/list"
)

// ErrUsedUp says that the budget is used up, and by nobody more than by who asked.
var ErrUsedUp = errors.New("the memory for requests is used up")

// Budget bounds the memory of requests that are being read, that wait or whose servers
// have not begun to answer. It is shared as the buffer of flow control is: when it is used
// up, the flow that holds most of it loses its newest request, and a flow that holds less
// pauses until that one's bytes are back, those that hold least first. Requests that were
// dispatched are ended for memory no more, so that a flow with others may hold only seven
// eighths of what other flows' dispatched requests leave: there is room for the next flow,
// whatever the first sends. It is safe for concurrent use.
type Budget struct {
	mu      sync.Mutex
	most    int64 // bytes
	used    int64
	lent    int64 // the part of used that is lent
	leaving int64 // the part of used that requests hold which were ended and have yet to let go
	kept    int64 // the part of used that dispatched requests hold
	holders map[string]*holder
	largest heap.Heap[*holder] // first those that have a request to end, the one that holds most before the others
	pauses
}

// holder is what a flow holds of the budget.
type holder struct {
	flow     string
	sessions int              // that share in it
	bytes    int64            // of all but those that were ended
	asked    int64            // what its requests pause for
	kept     int64            // the part of them that dispatched requests hold
	endable  list.List[*Part] // the newest last
	index    int
}

// Part is what one session holds of the budget. Its methods are called by one goroutine.
type Part struct {
	budget *Budget
	holder *holder
	bytes  int64
	node   list.Node[*Part] // among the holder's, while it can be ended
	pause  *pause           // while it waits for bytes
	end    func()
	state  partState
}

type partState int

const (
	endable partState = iota
	kept              // it was dispatched, and is ended for memory no more
	ending            // it was ended, and has yet to let go
)

// New returns a budget of so many bytes.
func New(most int64) *Budget {
	b := &Budget{most: most, holders: make(map[string]*holder)}
	b.largest.Init(func(x, y *holder) bool {
		if x.endable.Empty() != y.endable.Empty() {
			return y.endable.Empty()
		}
		return x.bytes > y.bytes
	}, func(h *holder) *int { return &h.index })
	b.pauses.init()
	return b
}

// Open begins a session's part, of no bytes. The function is called when others need the
// bytes more; it must not wait, and the part is to be closed soon.
func (b *Budget) Open(flow string, end func()) *Part {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.holders[flow]
	if h == nil {
		h = &holder{flow: flow}
		b.holders[flow] = h
		b.largest.Push(h)
	}
	h.sessions++
	p := &Part{budget: b, holder: h, end: end}
	p.node.Value = p
	h.endable.PushBack(&p.node)
	return p
}

// Take takes so many bytes more. It waits while others let go of them, and fails with
// ErrUsedUp if the part's own flow would hold most or the part was ended, or with the context's cause.
func (p *Part) Take(ctx context.Context, bytes int64) error {
	b := p.budget
	b.mu.Lock()
	if p.state == ending || !p.mayTake(bytes) {
		b.mu.Unlock()
		return ErrUsedUp
	}
	if b.none() && b.used+bytes <= b.most {
		p.add(bytes)
		b.mu.Unlock()
		return nil
	}
	ended, ok := b.makeRoom(p, bytes)
	if !ok {
		b.mu.Unlock()
		return ErrUsedUp
	}
	w := b.begin(p, bytes)
	b.resume()
	b.mu.Unlock()
	for _, other := range ended { // what that does is not for others to wait for
		other.end()
	}
	select {
	case <-w.over:
		return w.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.pause == w { // else it was over just now, and Close gives back what it took
		b.finish(w, nil)
		b.resume()
	}
	return context.Cause(ctx)
}

// mayTake reports whether the part's flow would leave others their room. A flow's only request
// may be as large as there is room for.
func (p *Part) mayTake(bytes int64) bool {
	b, h := p.budget, p.holder
	room := b.most - (b.kept - h.kept)
	return h.bytes == p.bytes || h.bytes+bytes <= room-room/8
}

// makeRoom chooses requests of flows that hold more, until there will be room, which the caller then ends
// without the lock. It chooses none and reports false if there would not be before the part's own flow is one
// of those that hold most.
func (b *Budget) makeRoom(p *Part, bytes int64) (ended []*Part, ok bool) {
	promised := b.promised
	for b.used-b.lent-b.leaving+promised+bytes > b.most { // what is lent is back soon
		largest := b.largest.Min()
		newest, ok := largest.endable.Back()
		if !ok || largest == p.holder || largest.bytes <= p.holder.bytes+bytes {
			for _, other := range slices.Backward(ended) {
				other.goOn()
			}
			return nil, false
		}
		newest.leaveHolder(ending)
		b.leaving += newest.bytes
		if newest.pause != nil {
			promised -= newest.pause.bytes
		}
		ended = append(ended, newest)
	}
	for _, other := range ended {
		if other.pause != nil {
			b.finish(other.pause, ErrUsedUp)
		}
	}
	return ended, true
}

// goOn takes back that the part is about to be ended. It is its holder's newest again.
func (p *Part) goOn() {
	p.state = endable
	p.budget.leaving -= p.bytes
	p.holder.bytes += p.bytes
	p.holder.endable.PushBack(&p.node)
	p.budget.largest.Fix(p.holder)
}

// resume lets those go on that pause, in their order, as far as there is room.
func (b *Budget) resume() {
	for !b.none() {
		w := b.next()
		if b.used+w.bytes > b.most {
			return
		}
		w.part.add(w.bytes)
		b.finish(w, nil)
	}
}

func (p *Part) add(bytes int64) {
	p.bytes += bytes
	p.budget.used += bytes
	if p.state == ending {
		p.budget.leaving += bytes
		return
	}
	if p.state == kept {
		p.budget.kept += bytes
		p.holder.kept += bytes
	}
	p.holder.bytes += bytes
	p.budget.largest.Fix(p.holder)
}

// leaveHolder takes the part out of those that can be ended.
func (p *Part) leaveHolder(state partState) {
	if p.state != endable {
		return
	}
	p.state = state
	p.node.Remove()
	if state == kept {
		p.budget.kept += p.bytes
		p.holder.kept += p.bytes
	} else {
		p.holder.bytes -= p.bytes
	}
	p.budget.largest.Fix(p.holder)
}

// Keep says that the request must not be ended for its bytes any more.
func (p *Part) Keep() {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.leaveHolder(kept)
}

// GiveBack lets go of so many bytes.
func (p *Part) GiveBack(bytes int64) {
	p.budget.mu.Lock()
	defer p.budget.mu.Unlock()
	p.add(-bytes)
	p.budget.resume()
}

// Close lets go of everything. The part must not be used afterwards.
func (p *Part) Close() {
	b := p.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	p.add(-p.bytes)
	p.leaveHolder(kept)
	if p.holder.sessions--; p.holder.sessions == 0 {
		b.largest.Remove(p.holder)
		delete(b.holders, p.holder.flow)
	}
	b.resume()
}

// lendPart: one part in so many of the budget may be lent.
const lendPart = 2

// Lend counts so many bytes more which no request holds yet, and which the caller gives back within a
// second or two: no request is ended for them, others wait. It reports whether there is room, and nobody
// waits for it.
func (b *Budget) Lend(bytes int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.none() || b.used+bytes > b.most || b.lent+bytes > b.most/lendPart {
		return false
	}
	b.lent += bytes
	b.used += bytes
	return true
}

// TakeBack says that so many bytes are lent no more.
func (b *Budget) TakeBack(bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent -= bytes
	b.used -= bytes
	b.resume()
}

// Figures are the budget and what is used of it, in bytes.
func (b *Budget) Figures() (most, used int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most, b.used
}
