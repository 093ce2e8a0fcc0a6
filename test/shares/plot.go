package shares

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Plot is how many slots tenants had over time, drawn.
type Plot struct {
	Title      string
	Span       Span
	Slots      float64 // of the pool
	Guaranteed float64 // of them, to one of the tenants
	Lines      []Line
	Marks      []Mark
}

// Line is a tenant's.
type Line struct {
	Name  string
	Curve *Curve
}

// Mark is what happened at a time.
type Mark struct {
	At   time.Duration
	What string
}

// Sizes of a plot, in pixels. A phone shows it at three quarters of them.
const (
	width, height = 480, 300
	left, right   = 34, 470
	top, bottom   = 78, 250
)

// colours tell lines apart, also for readers who see few colours.
var colours = []string{"#0072b2", "#d55e00", "#009e73"}

// SVG draws it. Each point of a line is the average over the hundredth of the time around it, but at
// least over half a second: single requests are no curve.
func (p Plot) SVG() []byte {
	length := p.Span.To - p.Span.From
	x := func(at time.Duration) float64 {
		return left + float64(at-p.Span.From)/float64(length)*(right-left)
	}
	y := func(slots float64) float64 { return bottom - slots/p.Slots*(bottom-top) }
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13">`, width, height, width, height)
	fmt.Fprintf(&out, `<title>%s</title><rect width="100%%" height="100%%" fill="white"/><text x="8" y="20" font-weight="bold">%s</text>`, p.Title, p.Title)
	fmt.Fprintf(&out, `<path d="M%d %dV%dH%d" fill="none" stroke="#666"/>`, left, top, bottom, right)
	fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%g</text><text x="%d" y="%d" text-anchor="end">0</text>`, left-6, top+5, p.Slots, left-6, bottom+4)
	fmt.Fprintf(&out, `<text x="%d" y="%d" text-anchor="end">%.0f s</text>`, right, bottom+17, length.Seconds())
	fmt.Fprintf(&out, `<path d="M%d %.1fH%d" stroke="#666" stroke-dasharray="5 4"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`,
		left, y(p.Guaranteed), right, left-4, y(p.Guaranteed)+4, p.Guaranteed)
	for n, m := range p.Marks {
		row := top - 6 - 14*(n%2)
		fmt.Fprintf(&out, `<path d="M%.1f %dV%d" stroke="#999" stroke-dasharray="2 2"/><text x="%.1f" y="%d" font-size="12">%s</text>`, x(m.At), row+2, bottom, x(m.At), row, m.What)
	}
	around := max(500*time.Millisecond, length/100)
	for n, l := range p.Lines {
		colour := colours[n%len(colours)]
		fmt.Fprintf(&out, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
		for i := range 401 {
			at := p.Span.From + length*time.Duration(i)/400
			part := Span{max(p.Span.From, at-around/2), min(p.Span.To, at+around/2)}
			fmt.Fprintf(&out, "%.0f,%.1f ", x(at), y(math.Min(p.Slots, l.Curve.Mean(part))))
		}
		fmt.Fprintf(&out, `"/><text x="%d" y="%d" fill="%s">%s</text>`, left+90*n, bottom+38, colour, l.Name)
	}
	fmt.Fprintf(&out, `<text x="%d" y="40">slots</text><text x="%d" y="%d">- - guaranteed</text>`, 8, left+90*len(p.Lines), bottom+38)
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
