package app

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// errNoShadow says that there is nothing to report.
var errNoShadow = errors.New("no replica has played flow control: weir serve --shadow, or weir.shadow in its file, has it do so")

func newShadow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "shadow", Short: "Show what flow control would do, while it is only played",
		GroupID: groupLook,
	}
	cmd.AddCommand(newShadowReport())
	return cmd
}

func newShadowReport() *cobra.Command {
	var (
		l    listing
		wide *bool
	)
	cmd := &cobra.Command{
		Use: "report", Short: "Report by tenant what flow control would have done",
		Long:    "Reports what flow control would have done with the requests that went at once since weir.shadow was last turned on, over the whole fleet, the tenants with most requests first.\n\nSHARE is a tenant's part of the time for which slots were held, WOULD GET what it would have been. WAIT is how long those would have waited that went in the end; REFUSED would have been turned away at once, TIMED OUT while they waited. The report stays once flow control holds requests, to be compared with what it then does.",
		Example: "  weir shadow report\n  weir shadow report --flow team-a --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.client()
			if err != nil {
				return err
			}
			r, err := c.Shadow(cmd.Context(), l.asked(cmd))
			switch {
			case err != nil:
				return explained(c, err)
			case l.asJSON:
				return printJSON(cmd, r)
			case r.Since == nil:
				return &exitError{exitNotFound, errNoShadow}
			}
			printShadow(cmd.OutOrStdout(), r, columnsOf(cmd, *wide))
			printed(cmd, missing(r.Fleet))
			more(cmd, r.Page, len(r.Flows))
			return nil
		},
	}
	l.add(cmd)
	wide = allColumns(cmd)
	return cmd
}

// printShadow prints a report for people, as wide as there are columns.
func printShadow(out io.Writer, r *api.Shadow, columns int) {
	line := func(format string, args ...any) {
		fmt.Fprintln(out, wrapped(fmt.Sprintf(format, args...), columns, "  "))
	}
	state := "it has ended"
	if r.On {
		state = "it goes on"
	}
	all := &r.All
	line("Shadow for %s, %s: %d requests went at once", milliseconds(float64(r.Until.Sub(*r.Since).Milliseconds())), state, all.Requests)
	line("Flow control would have let %d go, after %s at half of them and %s at 99%%; refused %d and timed out %d; %d wait as played",
		all.Dispatched, milliseconds(all.WaitP50MS), milliseconds(all.WaitP99MS), all.Refused, all.Evicted, all.Requests-all.Dispatched-all.Refused-all.Evicted)
	t := table{{"FLOW", "PRIORITY", "REQUESTS", "SHARE", "WOULD GET", "WAIT MEAN", "P50", "P99", "REFUSED", "TIMED OUT"}}
	for i := range r.Flows {
		f := &r.Flows[i]
		t.add(f.ID, fmt.Sprint(f.Priority), fmt.Sprint(f.Requests), percent(f.Share), percent(f.WouldShare),
			milliseconds(f.WaitMeanMS), milliseconds(f.WaitP50MS), milliseconds(f.WaitP99MS), fmt.Sprint(f.Refused), fmt.Sprint(f.Evicted))
	}
	fmt.Fprintf(out, "\n%s", t.within(columns, "WAIT MEAN", "PRIORITY", "P50", "TIMED OUT", "REFUSED"))
}
