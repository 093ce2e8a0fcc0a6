package app

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newPools() *cobra.Command {
	var o operator
	cmd := &cobra.Command{
		GroupID: groupLook,
		Use:     "pools", Short: "List the pools of a replica",
		Long: `List the pools of a replica: the limit of each and what is in flight over the
fleet, and what waits that came in by this replica. --pool gives other commands
one of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			all, err := c.Pools(cmd.Context())
			if err != nil {
				return explained(c, err)
			}
			if o.asJSON {
				return printJSON(cmd, all)
			}
			t := table{{"POOL", "IN FLIGHT", "LIMIT", "WAITING HERE", "ENDPOINTS", "LEDGER"}}
			for i := range all.Pools {
				p := &all.Pools[i]
				t.add(p.Name, fmt.Sprint(p.InFlight), limited(p.Limit), fmt.Sprint(p.Queued), fmt.Sprint(p.Endpoints), p.LedgerState)
			}
			if _, err := fmt.Fprint(cmd.OutOrStdout(), t); err != nil {
				return err
			}
			for _, l := range all.LeftOut {
				what := "is left out"
				if l.Kept {
					what = "is changed, and its pool stays as it was"
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "the InferencePool %s %s: %s\n", l.InferencePool, what, l.Why); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.add(cmd)
	return cmd
}
