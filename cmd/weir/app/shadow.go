package app

import (
	"context"
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
			q := l.asked(cmd)
			return listed(cmd, &l.operator, func(ctx context.Context, c *api.Client) (*api.Shadow, error) {
				r, err := c.Shadow(ctx, q)
				if err == nil && r.Since == nil && !l.asJSON {
					err = &exitError{exitNotFound, errNoShadow}
				}
				return r, err
			}, func(r *api.Shadow) {
				printShadow(cmd.OutOrStdout(), r, columnsOf(cmd, *wide))
				printed(cmd, missing(r.Fleet))
				more(cmd, r.Page, len(r.Flows))
			})
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
	line("Shadow for %s, %s: %s went at once", milliseconds(float64(r.Until.Sub(*r.Since).Milliseconds())), state, plural(all.Requests, "request"))
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
