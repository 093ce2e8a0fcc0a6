package admin

// parts returns what part of what is over in its band goes to a flow, if that is hungry: by
// its weight in its group, and by the groups' in those that they are in. Only who is hungry
// counts.
func parts(all []*flow, hungry func(*flow) bool) func(*flow) float64 {
	type class struct {
		priority int
		group    string
	}
	flows, groups, seen := make(map[class]float64), make(map[class]float64), make(map[class]bool)
	for _, f := range all {
		if !hungry(f) {
			continue
		}
		flows[class{f.Priority, f.Group}] += f.Weight
		outer := ""
		for _, g := range f.groups {
			if at := (class{f.Priority, g.Path}); !seen[at] {
				seen[at] = true
				groups[class{f.Priority, outer}] += g.Weight
			}
			outer = g.Path
		}
	}
	return func(f *flow) float64 {
		part, outer := f.Weight/flows[class{f.Priority, f.Group}], ""
		for _, g := range f.groups {
			part *= g.Weight / groups[class{f.Priority, outer}]
			outer = g.Path
		}
		return part
	}
}
