// Package numbered is a map by a name and a number, for few names and many numbers: what is asked
// for under one name after the other costs the hash of a number, and not that of a text.
package numbered

import "iter"

// Map is a map by a name and a number. The zero value is empty and ready. It is not safe for
// concurrent use.
type Map[T any] struct {
	names map[string]*numbers[T]
	last  *numbers[T] // that was asked for; it may be empty
	len   int
}

// numbers is what there is under a name.
type numbers[T any] struct {
	name string
	of   map[uint64]T
}

// Len returns how many values there are.
func (m *Map[T]) Len() int { return m.len }

// Get returns the value of a name and a number; the zero value if there is none.
func (m *Map[T]) Get(name string, number uint64) (value T) {
	if n := m.under(name); n != nil {
		return n.of[number]
	}
	return value
}

// Put sets the value of a name and a number.
func (m *Map[T]) Put(name string, number uint64, value T) {
	n := m.under(name)
	if n == nil {
		if m.names == nil {
			m.names = make(map[string]*numbers[T])
		}
		n = &numbers[T]{name, make(map[uint64]T)}
		m.names[name] = n
	}
	before := len(n.of)
	n.of[number] = value
	m.len += len(n.of) - before
}

// Delete forgets the value of a name and a number, if there is one.
func (m *Map[T]) Delete(name string, number uint64) {
	n := m.under(name)
	if n == nil {
		return
	}
	before := len(n.of)
	delete(n.of, number)
	m.len -= before - len(n.of)
}

// Clear forgets all.
func (m *Map[T]) Clear() { *m = Map[T]{} }

// All goes through the values in no order. The value at hand may be deleted meanwhile, and
// nothing else may change.
func (m *Map[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, n := range m.names {
			for _, value := range n.of {
				if !yield(value) {
					return
				}
			}
		}
	}
}

// under returns what there is under a name; nil for nothing. A name is forgotten once there is
// nothing under it and another is asked for.
func (m *Map[T]) under(name string) *numbers[T] {
	if m.last != nil && m.last.name == name {
		return m.last
	}
	n := m.names[name]
	if n == nil {
		return nil
	}
	if m.last != nil && len(m.last.of) == 0 {
		delete(m.names, m.last.name)
	}
	m.last = n
	return n
}
