// Package freelist keeps values that are nobody's any more for those that come, so that what comes and goes
// takes no new memory.
package freelist

import (
	"iter"
	"slices"
)

// Most is how many values a List keeps.
const Most = 1024

// List is values that are kept. The zero value is empty and ready. It is not safe for concurrent use.
type List[T any] struct{ kept []*T }

// Take returns a zero value: one that was kept, or else a new one.
func (l *List[T]) Take() *T {
	n := len(l.kept) - 1
	if n < 0 {
		return new(T)
	}
	value := l.kept[n]
	l.kept = l.kept[:n]
	return value
}

// Keep makes a value zero, and keeps it unless Most are. Nothing may refer to it any more.
func (l *List[T]) Keep(value *T) {
	var zero T
	if *value = zero; len(l.kept) < Most {
		l.kept = append(l.kept, value)
	}
}

// Len returns how many values are kept.
func (l *List[T]) Len() int { return len(l.kept) }

// All goes through the values that are kept.
func (l *List[T]) All() iter.Seq[*T] { return slices.Values(l.kept) }
