package admin

import (
	"cmp"
	"slices"
)

// entitling is a priority, with the slots that it wants and is guaranteed, how many the pool has for
// it while others hold slots, too, and its weight; 0 where it goes by its priority.
type entitling struct {
	priority                        int
	wants, guaranteed, most, weight float64
}

// bandEntitled is what priorities should have now of a pool of that many slots, which may be
// infinite: of what each wants first what it is guaranteed, and the rest from the highest down, or
// by weights among those that have some.
func bandEntitled(bands []entitling, limit float64) map[int]float64 {
	entitled, left, given := make(map[int]float64, len(bands)), limit, 0.0
	give := func(b *entitling, slots float64) {
		slots = max(0, min(slots, b.wants-entitled[b.priority], left))
		entitled[b.priority] += slots
		left, given = left-slots, given+slots
	}
	slices.SortFunc(bands, func(a, b entitling) int { return cmp.Compare(b.priority, a.priority) })
	for i := range bands {
		give(&bands[i], bands[i].guaranteed)
	}
	for i := 0; i < len(bands); {
		if bands[i].weight == 0 {
			give(&bands[i], bands[i].most-given)
			i++
			continue
		}
		n := i + 1
		for n < len(bands) && bands[n].weight > 0 {
			n++
		}
		took := fill(bands[i:n], entitled, left)
		left, given = left-took, given+took
		i = n
	}
	return entitled
}

// fill shares what is left among priorities with weights: what each has in all is by its weight, or
// what it wants, or what it has already if that is more. It returns what they took.
func fill(together []entitling, entitled map[int]float64, left float64) (took float64) {
	due := func(b *entitling, level float64) float64 {
		return max(0, min(b.wants, b.most, level*b.weight)-entitled[b.priority])
	}
	sum := func(level float64) (sum float64) {
		for i := range together {
			sum += due(&together[i], level)
		}
		return sum
	}
	low, high := 0.0, 0.0 // slots for a weight of 1
	for i := range together {
		high = max(high, together[i].wants/together[i].weight)
	}
	if sum(high) <= left {
		low = high
	}
	for range 64 { // halvings: to the end of a float64
		if middle := (low + high) / 2; sum(middle) <= left {
			low = middle
		} else {
			high = middle
		}
	}
	for i := range together {
		slots := due(&together[i], low)
		entitled[together[i].priority] += slots
		took += slots
	}
	return took
}
