// Package heap is an indexed binary heap: an item knows its place in it, so it
// can be moved or removed in O(log n) when its order changes.
package heap

// Heap keeps the least item at its top. It is usable after New or Init, and not
// safe for concurrent use.
//
// What is pushed is put in order once the least is asked for, so that what comes and goes
// meanwhile costs O(1). So between a change of an item's key and its Fix, nothing may be asked.
type Heap[T any] struct {
	items []T // those that are in order, and then those that are not yet
	tidy  int // how many are in order
	less  func(a, b T) bool
	index func(T) *int
}

// New returns an empty heap ordered by less. Index returns where an item keeps
// its place: 0 while it is in no heap, which is why places count from 1.
func New[T any](less func(a, b T) bool, index func(T) *int) *Heap[T] {
	h := &Heap[T]{}
	h.Init(less, index)
	return h
}

// Init makes a Heap that is part of something else ready for use.
func (h *Heap[T]) Init(less func(a, b T) bool, index func(T) *int) { h.less, h.index = less, index }

// Len returns the number of items.
func (h *Heap[T]) Len() int { return len(h.items) }

// Min returns the least item. The heap must not be empty.
func (h *Heap[T]) Min() T {
	if h.tidy < len(h.items) {
		h.order()
	}
	return h.items[0]
}

// order puts all items in order.
func (h *Heap[T]) order() {
	for h.tidy < len(h.items) {
		h.tidy++
		h.up(h.tidy - 1)
	}
}

// Items returns the items in no particular order; the slice is the heap's own.
func (h *Heap[T]) Items() []T { return h.items }

// Push adds an item that is in no heap.
func (h *Heap[T]) Push(item T) {
	h.items = append(h.items, item)
	*h.index(item) = len(h.items)
}

// Pop removes and returns the least item. The heap must not be empty.
func (h *Heap[T]) Pop() T {
	item := h.Min()
	h.Remove(item)
	return item
}

// Fix restores the order after an item's key changed.
func (h *Heap[T]) Fix(item T) {
	if i := *h.index(item) - 1; i < h.tidy && !h.up(i) {
		h.down(i)
	}
}

// Remove takes an item out; one that is not in the heap is left alone.
func (h *Heap[T]) Remove(item T) {
	i := *h.index(item) - 1
	if i < 0 {
		return
	}
	*h.index(item) = 0
	if i < h.tidy {
		h.tidy--
		if moved := h.items[h.tidy]; i < h.tidy {
			h.place(i, moved)
			if !h.up(i) {
				h.down(i)
			}
		}
		i = h.tidy // its place is that of one that is not in order
	}
	last := len(h.items) - 1
	if i < last {
		h.place(i, h.items[last])
	}
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
}

func (h *Heap[T]) place(i int, item T) {
	h.items[i] = item
	*h.index(item) = i + 1
}

// up moves the item at i towards the top and reports whether it moved.
func (h *Heap[T]) up(i int) bool {
	item, start := h.items[i], i
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(item, h.items[parent]) {
			break
		}
		h.place(i, h.items[parent])
		i = parent
	}
	h.place(i, item)
	return i != start
}

func (h *Heap[T]) down(i int) {
	item := h.items[i]
	for {
		child := 2*i + 1
		if child >= h.tidy {
			break
		}
		if child+1 < h.tidy && h.less(h.items[child+1], h.items[child]) {
			child++
		}
		if !h.less(h.items[child], item) {
			break
		}
		h.place(i, h.items[child])
		i = child
	}
	h.place(i, item)
}
