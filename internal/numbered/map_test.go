package numbered

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type key struct {
	name   string
	number uint64
}

// TestAgainstMap drives random operations through a Map and one by both together, and compares
// them after each.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[int]
		model := map[key]int{}
		for step := range rapid.IntRange(1, 200).Draw(t, "steps") {
			k := key{rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "name"), rapid.Uint64Range(0, 5).Draw(t, "number")}
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0, 1, 2, 3:
				m.Put(k.name, k.number, step+1)
				model[k] = step + 1
			case 4, 5, 6, 7, 8:
				m.Delete(k.name, k.number)
				delete(model, k)
			case 9:
				m.Clear()
				clear(model)
			}
			if m.Len() != len(model) {
				t.Fatalf("%d values, want %d", m.Len(), len(model))
			}
			if k.name = rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "asked"); m.Get(k.name, k.number) != model[k] {
				t.Fatalf("%v is %d, want %d", k, m.Get(k.name, k.number), model[k])
			}
			if got, want := slices.Sorted(m.All()), slices.Sorted(maps.Values(model)); !slices.Equal(got, want) {
				t.Fatalf("all are %v, want %v", got, want)
			}
		}
	})
}

// TestNamesAreForgotten has a name used after the other: none is kept once nothing is under it.
func TestNamesAreForgotten(t *testing.T) {
	var m Map[int]
	for i := range uint64(100) {
		name := string(rune('a' + i))
		m.Put(name, i, 1)
		m.Get(name, i)
		m.Delete(name, i)
	}
	if len(m.names) > 1 {
		t.Errorf("%d names are kept of which there is nothing", len(m.names))
	}
}
