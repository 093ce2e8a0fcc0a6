package config

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/weirflow/weir/shard"
)

// shares checks what priorities are guaranteed of the pool.
func (b *builder) shares() {
	b.plan.Guaranteed = make(map[int]float64)
	sum := Share(0)
	for i, band := range b.file.Weir.Bands {
		path := indexed("weir.bands", i)
		if !b.given(path + ".priority") {
			b.wrong(path, "priority is missing; give the band's number")
			continue
		}
		b.priority(path+".priority", band.Priority)
		if _, twice := b.plan.Guaranteed[band.Priority]; twice {
			b.wrong(path+".priority", "the band of this priority is listed above")
			continue
		}
		switch before := sum; {
		case !b.given(path + ".guaranteed"):
			b.wrong(path, "guaranteed is missing; give a percentage of the pool such as 20%%")
		case before+band.Guaranteed > 1+1e-9:
			b.wrong(path+".guaranteed", "%v are guaranteed above: together that is more than the pool", before)
		default:
			sum += band.Guaranteed
		}
		b.plan.Guaranteed[band.Priority] = float64(band.Guaranteed)
	}
	b.floors(sum)
}

// floors checks what groups are guaranteed of the pool, where bands are guaranteed so much: it
// must be there for all of them at once, whatever their requests' priorities.
func (b *builder) floors(bands Share) {
	w := &b.file.Weir
	floors := make(map[string]Share)
	for i := range w.Groups {
		g, path := &w.Groups[i], indexed("weir.groups", i)+".guaranteed"
		if g.Guaranteed == 0 {
			continue
		}
		floors[g.Name] = g.Guaranteed
		need := needed(floors)
		if all := bands + need[""]; all > 1+1e-9 {
			b.wrong(path, "with what else is guaranteed to groups and bands that is %v, more than the pool", all)
			delete(floors, g.Name)
			continue
		}
		for outer := range shard.Around(g.Name) {
			most := w.maximumOf(outer).Part
			switch {
			case most == 0 || need[outer] <= most+1e-9:
				continue
			case outer == g.Name:
				b.wrong(path, "is more than the %v that it has at most", most)
			default:
				b.wrong(path, "with what else is guaranteed in %q that is %v, more than the %v that it has at most", outer, need[outer], most)
			}
			break
		}
	}
}

// needed is what each group needs for what is guaranteed to it and in it, and, by an empty
// name, what all need.
func needed(floors map[string]Share) map[string]Share {
	need := maps.Clone(floors)
	for name := range floors {
		for outer := range shard.Around(name) {
			need[outer] = max(need[outer], 0)
		}
	}
	inwards := slices.SortedFunc(maps.Keys(need), func(a, b string) int {
		return cmp.Or(strings.Count(b, "/")-strings.Count(a, "/"), strings.Compare(a, b))
	})
	inside := make(map[string]Share)
	for _, name := range inwards {
		need[name] = max(need[name], inside[name])
		inside[name[:max(0, strings.LastIndexByte(name, '/'))]] += need[name]
	}
	need[""] = inside[""]
	return need
}
