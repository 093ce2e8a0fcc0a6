package freeport

import "testing"

// TestAddress wants no address twice: who is told one listens there later.
func TestAddress(t *testing.T) {
	seen := make(map[string]bool)
	for range own / 2 {
		a := Address(t)
		if seen[a] {
			t.Fatalf("%s twice", a)
		}
		seen[a] = true
	}
}
