// Package list is an intrusive doubly linked list: an item carries its own node,
// so adding and removing it costs O(1) and no allocation.
package list

import "iter"

// List holds items in the order they were added. The zero value is empty and
// ready. It is not safe for concurrent use.
type List[T any] struct{ front, back *Node[T] }

// Node is an item's place in a list; it is in one list at a time. Value must be
// set before it is added.
type Node[T any] struct {
	Value      T
	list       *List[T]
	prev, next *Node[T]
}

// Front returns the item added first, and whether there is one.
func (l *List[T]) Front() (item T, ok bool) {
	if l.front == nil {
		return item, false
	}
	return l.front.Value, true
}

// Back returns the item added last, and whether there is one.
func (l *List[T]) Back() (item T, ok bool) {
	if l.back == nil {
		return item, false
	}
	return l.back.Value, true
}

// Empty reports whether there is no item.
func (l *List[T]) Empty() bool { return l.front == nil }

// All goes through the items in order. The item at hand may be removed
// meanwhile, no other.
func (l *List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for n := l.front; n != nil; {
			next := n.next
			if !yield(n.Value) {
				return
			}
			n = next
		}
	}
}

// PushBack adds a node that is in no list.
func (l *List[T]) PushBack(n *Node[T]) {
	n.list, n.prev, n.next = l, l.back, nil
	if l.back == nil {
		l.front = n
	} else {
		l.back.next = n
	}
	l.back = n
}

// TakePlaceOf puts a node that is in no list in the place of another, which is in none then.
func (n *Node[T]) TakePlaceOf(other *Node[T]) {
	n.list, n.prev, n.next = other.list, other.prev, other.next
	if n.list == nil {
		return
	}
	if n.prev == nil {
		n.list.front = n
	} else {
		n.prev.next = n
	}
	if n.next == nil {
		n.list.back = n
	} else {
		n.next.prev = n
	}
	other.list, other.prev, other.next = nil, nil, nil
}

// Remove takes the node out of the list it is in, if any.
func (n *Node[T]) Remove() {
	l := n.list
	if l == nil {
		return
	}
	if n.prev == nil {
		l.front = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.back = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
}
