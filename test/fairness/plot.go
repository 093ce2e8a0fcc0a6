package fairness

import (
	"fmt"
	"strings"
	"time"
)

// Sizes of a plot, in pixels.
const (
	plotWidth, plotHeight = 420, 260
	plotLeft, plotBottom  = 60, 40
	plotTop, plotRight    = 30, 110
)

// colours tell tenants apart, also for readers who see few colours.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7"}

// plot draws the tenants' service over time as SVG.
func plot(r *Result) []byte {
	var most float64
	var until time.Duration
	for _, c := range r.Curves {
		for i := range c.At {
			most, until = max(most, c.Service[i]), max(until, c.At[i])
		}
	}
	x := func(at time.Duration) float64 {
		return plotLeft + float64(at)/float64(max(1, until))*(plotWidth-plotLeft-plotRight)
	}
	y := func(service float64) float64 {
		return plotHeight - plotBottom - service/max(1, most)*(plotHeight-plotBottom-plotTop)
	}
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`, plotWidth, plotHeight)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="18">%s, %s, %d replica(s)</text>`, plotLeft, r.Scenario, r.Policy, r.Replicas)
	fmt.Fprintf(&out, `<path d="M%d %d V%d H%d" fill="none" stroke="#666"/>`, plotLeft, plotTop, plotHeight-plotBottom, plotWidth-plotRight)
	fmt.Fprintf(&out, `<text x="%d" y="%d">%.0f s</text><text x="4" y="%d">%.0f</text><text x="4" y="%d">tokens / weight</text>`,
		plotWidth-plotRight-16, plotHeight-plotBottom+16, until.Seconds(), plotTop+10, most, plotHeight-plotBottom+16)
	for n, c := range r.Curves {
		colour := colours[n%len(colours)]
		fmt.Fprintf(&out, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="`, colour)
		for i := 0; i < len(c.At); i += 5 {
			fmt.Fprintf(&out, "%.1f,%.1f ", x(c.At[i]), y(c.Service[i]))
		}
		fmt.Fprintf(&out, `"/><text x="%d" y="%d" fill="%s">%s</text>`, plotWidth-plotRight+6, plotTop+14*(n+1), colour, c.Tenant)
	}
	out.WriteString("</svg>\n")
	return []byte(out.String())
}
