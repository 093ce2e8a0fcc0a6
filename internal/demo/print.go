package demo

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// narrow is the width, in columns, below which tables have fewer columns.
const narrow = 76

// column is one of a table of what the tenants got.
type column struct {
	head string
	wide bool // left out where there is little room
	cell func(*Flow) string
}

var flowColumns = []column{
	{"tenant", false, func(f *Flow) string { return f.ID }},
	{"weight", true, func(f *Flow) string { return fmt.Sprintf("%g", f.Weight) }},
	{"requests", false, func(f *Flow) string { return fmt.Sprint(f.Requests) }},
	{"share", false, func(f *Flow) string { return fmt.Sprintf("%.1f%%", 100*f.Share) }},
	{"fair share", false, func(f *Flow) string { return fmt.Sprintf("%.1f%%", 100*f.FairShare) }},
	{"wait p50", true, func(f *Flow) string { return fmt.Sprintf("%.0f ms", f.WaitP50ms) }},
	{"wait p99", false, func(f *Flow) string { return fmt.Sprintf("%.0f ms", f.WaitP99ms) }},
}

// title says which of the two runs it is.
func (s *Summary) title() string {
	if s.Ledger == "divided" {
		return "each on its own, the limit divided"
	}
	return "one shared ledger"
}

// Print writes the summary as a table, in lines of at most that many columns, from 60 on.
func (s *Summary) Print(w io.Writer, width int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%d replicas, %s, %.0f s\n", s.Replicas, s.title(), s.Seconds)
	row := func(cell func(column) string) {
		for _, c := range flowColumns {
			if !c.wide || width >= narrow {
				fmt.Fprint(t, "\t"+cell(c))
			}
		}
		fmt.Fprint(t, "\t\n")
	}
	row(func(c column) string { return c.head })
	for i := range s.Flows {
		row(func(c column) string { return c.cell(&s.Flows[i]) })
	}
	if err := t.Flush(); err != nil {
		return err
	}
	facts := []string{
		fmt.Sprintf("at most %d of %d in flight", s.InFlightPeak, s.Limit), fmt.Sprintf("Jain index %.3f", s.JainIndex),
		fmt.Sprintf("largest gap %.0f requests", s.MaxServiceGap), fmt.Sprintf("%.2f ledger turns a request", s.TurnsPerGrant),
	}
	_, err := io.WriteString(w, wrap(facts, " · ", "  ", width))
	if err != nil || len(s.Timeline) == 0 {
		return err
	}
	return printTimeline(w, s.Timeline, width)
}

// Legend says what the words of a summary mean, in lines of at most that many columns.
func Legend(width int) string {
	var text strings.Builder
	for _, w := range [][2]string{
		{"fair share", "what a tenant's weight gives it beside the others that want more"},
		{"wait p99", "how long 99% of its requests waited at most before they went to a model server"},
		{"Jain index", "how even the shares are, by weight: 1 is even, 1/n is all for one of n tenants"},
		{"largest gap", "the most by which one tenant that waited was ahead of another"},
		{"ledger turns", "exchanges with what the replicas share, such as a Redis"},
	} {
		text.WriteString(wrap(append([]string{w[0] + ":"}, strings.Fields(w[1])...), " ", "  ", width))
	}
	return text.String()
}

// Line is the summary in one line, of 80 columns at most.
func (s *Summary) Line() string {
	requests := 0
	for i := range s.Flows {
		requests += s.Flows[i].Requests
	}
	how := "shared ledger"
	if s.Ledger == "divided" {
		how = "divided limit"
	}
	return fmt.Sprintf("%3.0f s, %s: %d requests, at most %d of %d in flight, Jain %.3f",
		s.Seconds, how, requests, s.InFlightPeak, s.Limit, s.JainIndex)
}

// Verdict says what was seen, in one sentence.
func (s *Summary) Verdict(width int) string {
	words := fmt.Sprintf("Over one shared ledger each tenant got %s of its fair share, and never more than %d of %d requests were in flight", s.spread(), s.InFlightPeak, s.Limit)
	switch {
	case s.Divided != nil:
		words += fmt.Sprintf("; with the limit divided between the %d replicas, tenants got %s.", s.Replicas, s.Divided.spread())
	case len(s.Timeline) > 0:
		failed := 0
		for i := range s.Timeline {
			failed += s.Timeline[i].Failed
		}
		words += fmt.Sprintf(", through all that happened; %d requests failed that were not lost with their replica.", failed)
	default:
		words += "."
	}
	return strings.TrimSuffix(wrap(strings.Fields(words), " ", "", width), "\n")
}

// spread is between which parts of its fair share each tenant got.
func (s *Summary) spread() string {
	least, most := math.Inf(1), math.Inf(-1)
	for i := range s.Flows {
		if f := &s.Flows[i]; f.FairShare > 0 {
			least, most = min(least, f.Share/f.FairShare), max(most, f.Share/f.FairShare)
		}
	}
	if most < least {
		return "nothing"
	}
	return fmt.Sprintf("%.0f%% to %.0f%%", 100*least, 100*most)
}

// wrap joins parts into lines of at most that many columns.
func wrap(parts []string, between, indent string, width int) string {
	var text strings.Builder
	line := ""
	for _, p := range parts {
		switch {
		case line == "":
			line = indent + p
		case len([]rune(line+between+p)) > min(width, 100):
			text.WriteString(line + "\n")
			line = indent + p
		default:
			line += between + p
		}
	}
	return text.String() + line + "\n"
}

// printTimeline writes what happened and what it cost as a table.
func printTimeline(w io.Writer, phases []Phase, width int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	wide := width >= narrow
	if wide {
		fmt.Fprintf(t, "\nat\twhat happened\tsettled\tpause\treq/s\tJain\tpeak\tlost\tfailed\t\n")
	} else {
		fmt.Fprintf(t, "\nat\twhat happened\tsettled\tpeak\tfailed\t\n")
	}
	for i := range phases {
		p := &phases[i]
		settled := "not"
		if p.SettledMs >= 0 {
			settled = fmt.Sprintf("%.0f ms", p.SettledMs)
		}
		if wide {
			fmt.Fprintf(t, "%.0f s\t%s\t%s\t%.0f ms\t%.0f\t%.3f\t%d\t%d\t%d\t\n",
				p.At, p.Event, settled, p.PauseMs, p.RequestsPerSecond, p.JainIndex, p.InFlightPeak, p.Lost, p.Failed)
		} else {
			fmt.Fprintf(t, "%.0f s\t%s\t%s\t%d\t%d\t\n", p.At, p.Event, settled, p.InFlightPeak, p.Failed)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	legend := []string{"settled  until all agreed again, or had the ledger again", "peak     the most requests in flight", "failed   not answered, and not lost with the killed replica"}
	if wide {
		legend = []string{
			"settled  until all replicas agreed again, or had the ledger again", "pause    the longest time without a dispatch", "peak     the most requests in flight",
			"lost     requests whose connection was to the killed replica", "failed   all others that were not answered",
		}
	}
	_, err := fmt.Fprintln(w, "\n"+strings.Join(legend, "\n"))
	return err
}
