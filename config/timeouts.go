package config

import (
	"slices"
	"time"
)

// each calls visit with the name and the value of each of the timeouts.
func (t *Timeouts) each(visit func(name string, value **Duration)) {
	visit("client", &t.Client)
	visit("firstByte", &t.FirstByte)
	visit("betweenBytes", &t.BetweenBytes)
	visit("request", &t.Request)
}

// timeouts checks those at a path.
func (c *checks) timeouts(path string, t *Timeouts) {
	t.each(func(name string, value **Duration) {
		if d := *value; d != nil && (time.Duration(*d) < time.Millisecond || time.Duration(*d) > 30*24*time.Hour) {
			c.wrong(path+"."+name, "must be from 1ms to 720h")
		}
	})
}

// newTimeouts returns what holds for requests of each objective, and for all others under
// the empty name.
func newTimeouts(w *Weir) map[string]Timeouts {
	all := map[string]Timeouts{"": w.Timeouts}
	for _, o := range w.Objectives {
		t := o.Timeouts
		var general []**Duration
		w.Timeouts.each(func(_ string, value **Duration) { general = append(general, value) })
		t.each(func(_ string, value **Duration) {
			if *value == nil {
				*value = *general[0]
			}
			general = general[1:]
		})
		all[o.Name] = t
	}
	return all
}

// Timeouts returns what holds for a flow's request that names the objective, which may be
// empty. What is nil is not given.
func (fs *Flows) Timeouts(flow, objective string) Timeouts {
	if f := fs.find(flow); f != nil && f.Objectives != nil && !slices.Contains(f.Objectives, objective) {
		objective = ""
	}
	if t, ok := fs.timeouts[objective]; ok {
		return t
	}
	return fs.timeouts[""]
}
