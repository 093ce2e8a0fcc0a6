package freelist

import "testing"

// TestList wants what was kept to be taken again, as a zero value, and no more than Most to be kept.
func TestList(t *testing.T) {
	var l List[int]
	value := l.Take()
	*value = 7
	l.Keep(value)
	if again := l.Take(); again != value || *again != 0 {
		t.Errorf("took %p with %d, want %p with 0", again, *again, value)
	}
	for range Most + 10 {
		l.Keep(new(int))
	}
	if l.Len() != Most {
		t.Errorf("%d are kept, want %d", l.Len(), Most)
	}
	kept := 0
	for range l.All() {
		kept++
	}
	if kept != Most {
		t.Errorf("%d are gone through, want %d", kept, Most)
	}
}
