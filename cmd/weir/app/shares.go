package app

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
)

// shared is whether anything is configured that priorities and groups should have of the pool.
func shared(s *api.Shares) bool {
	for i := range s.Shares {
		if s.Shares[i].Weight > 0 || s.Shares[i].Guaranteed > 0 {
			return true
		}
	}
	return len(s.OverPriorities) > 0
}

// sharesTable shows what priorities and groups should have of the pool's slots now, and what they
// had of late, as wide as there are columns.
func sharesTable(priorities []api.Share, groups []api.GroupAccount, columns int) table {
	t := table{{"SHARE OF", "HAS", "DUE NOW", "GUARANTEED", "1 MIN", "5 MIN", "60 MIN", "BELOW GUARANTEE"}}
	for i := range priorities {
		t.add(shareCells(fmt.Sprint("priority ", priorities[i].Priority), &priorities[i].Account)...)
	}
	for i := range groups[:min(len(groups), maxGroups)] {
		g := &groups[i]
		t.add(shareCells(groupName(g.Group), &g.Account)...)
	}
	return t.within(columns, "5 MIN", "60 MIN").shortened(columns, "SHARE OF", 10).within(columns, "HAS", "1 MIN", "BELOW GUARANTEE")
}

// shareCells are an account's cells, in slots. A time of which nobody has watched more than of a
// shorter one has none. For how long it was below its guarantee is of the longest time that there is.
func shareCells(name string, a *api.Account) []string {
	guaranteed, below, had := "-", "-", []string{"-", "-", "-"}
	for i := range a.Had[:min(len(a.Had), len(had))] {
		if i == 0 || a.Had[i].SpanMS > a.Had[i-1].SpanMS {
			had[i] = slotsOf(a.Had[i].Slots)
		}
	}
	if a.Guaranteed > 0 {
		guaranteed = slotsOf(a.Guaranteed)
		if n := len(a.Had); n > 0 {
			below = (time.Duration(a.Had[n-1].BelowMS) * time.Millisecond).Round(time.Second).String()
		}
	}
	return append(append([]string{name, fmt.Sprint(a.InFlight), slotsOf(a.Entitled), guaranteed}, had...), below)
}

// slotsOf is a number of slots, with as many decimals as say something.
func slotsOf(n float64) string {
	scale := 100.0
	if n >= 10 {
		scale = 10
	}
	return strconv.FormatFloat(math.Round(n*scale)/scale, 'f', -1, 64)
}
