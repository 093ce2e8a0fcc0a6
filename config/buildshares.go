package config

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
}
