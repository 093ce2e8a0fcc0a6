package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// listing is the flags of a command that prints a list.
type listing struct {
	operator
	query    api.Query
	priority int
}

func (l *listing) add(cmd *cobra.Command) {
	l.operator.add(cmd)
	cmd.Flags().StringVar(&l.query.Flow, "flow", "", "those of this flow")
	cmd.Flags().IntVar(&l.priority, "priority", 0, "those of this priority")
	cmd.Flags().IntVar(&l.query.Limit, "limit", 50, "how many at most")
	must(cmd.RegisterFlagCompletionFunc("flow", l.flows))
}

// groups completes the paths of groups that have flows.
func (o *operator) groups(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	known, err := c.Shares(cmd.Context(), api.Query{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var paths []string
	for i := range known.Groups {
		if path := known.Groups[i].Group; strings.HasPrefix(path, typed) && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, cobra.ShellCompDirectiveNoFileComp
}

// asked is the query as the flags say.
func (l *listing) asked(cmd *cobra.Command) api.Query {
	if cmd.Flags().Changed("priority") {
		l.query.Priority = &l.priority
	}
	return l.query
}

// flows completes the ids of flows that the fleet knows.
func (o *operator) flows(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	known, err := c.Flows(cmd.Context(), api.Query{Flow: typed, Limit: 100})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids := make([]string, 0, len(known.Flows))
	for i := range known.Flows {
		ids = append(ids, known.Flows[i].ID)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// endpoints completes the names of model servers.
func (o *operator) endpoints(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	known, err := c.Endpoints(cmd.Context(), api.Query{Limit: 1000})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range known.Endpoints {
		if name := known.Endpoints[i].Name; strings.HasPrefix(name, typed) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// more says what of a list is not shown.
func more(cmd *cobra.Command, page api.Page, shown int) {
	if page.Total > shown {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d are shown; --limit shows more\n", shown, page.Total)
	}
}

func newFlows() *cobra.Command {
	var (
		l     listing
		every *bool
	)
	cmd := &cobra.Command{
		Use: "flows", Short: "List the tenants: what each has in flight, waits for and gets",
		Long:    "Lists the flows of the whole fleet, those that wait most first. SHARE is a flow's part of what its priority dispatched of late, DUE what it should have. With --wide there are also the tokens that model servers counted.",
		Example: "  weir flows\n  weir flows --sort -in_flight --limit 10\n  weir flows --group acme\n  weir flows --flow team- --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.client()
			if err != nil {
				return err
			}
			all, err := c.Flows(cmd.Context(), l.asked(cmd))
			if err != nil {
				return explained(c, err)
			}
			if l.asJSON {
				return printJSON(cmd, all)
			}
			fmt.Fprint(cmd.OutOrStdout(), flowTable(all.Flows, columnsOf(cmd, *every)))
			printed(cmd, missing(all.Fleet))
			more(cmd, all.Page, len(all.Flows))
			return nil
		},
	}
	l.add(cmd)
	every = allColumns(cmd)
	cmd.Flags().StringVar(&l.query.Group, "group", "", "those in this group, by its path, or in one that is in it")
	must(cmd.RegisterFlagCompletionFunc("group", l.groups))
	cmd.Flags().StringVar(&l.query.Sort, "sort", "-queued", "order, such as -queued, -in_flight, id")
	return cmd
}

// flowTable shows flows, as wide as there are columns; 0 for all that there is.
func flowTable(flows []api.Flow, columns int) table {
	t := table{{"FLOW", "GROUP", "PRIORITY", "WEIGHT", "WAITING", "OLDEST", "IN FLIGHT", "SHARE", "DUE", "SENT/S", "REFUSED/S", "WAIT P99", "TOKENS IN", "CACHED", "OUT", "OWN LIMIT"}}
	grouped := false
	for i := range flows {
		f := &flows[i]
		limit := strings.TrimPrefix(ownLimit(f.Limit), " of ")
		if f.AtLimit {
			limit += ", reached"
		}
		grouped = grouped || f.Group != ""
		t.add(f.ID, f.Group, fmt.Sprint(f.Priority), fmt.Sprint(f.Weight), fmt.Sprint(f.Queued), milliseconds(float64(f.OldestMS)), fmt.Sprint(f.InFlight),
			percent(f.Share), percent(f.Entitled), perSecond(f.Recent.Dispatched), perSecond(f.Recent.Refused), milliseconds(f.Recent.WaitP99MS),
			fmt.Sprint(f.TokensIn), fmt.Sprint(f.TokensCached), fmt.Sprint(f.TokensOut), limit)
	}
	if !grouped {
		t = t.without("GROUP")
	}
	return t.within(columns, "CACHED", "TOKENS IN", "OUT", "OLDEST", "WEIGHT", "REFUSED/S", "OWN LIMIT", "SENT/S", "PRIORITY", "GROUP", "WAIT P99")
}

// groupTable shows groups of flows, as wide as there are columns.
func groupTable(groups []api.GroupShare, columns int) table {
	t := table{{"GROUP", "PRIORITY", "WEIGHT", "FLOWS", "IN FLIGHT", "WAITING", "SHARE", "DUE"}}
	for i := range groups {
		g := &groups[i]
		t.add(g.Group, fmt.Sprint(g.Priority), fmt.Sprint(g.Weight), fmt.Sprint(g.Flows), fmt.Sprint(g.InFlight), fmt.Sprint(g.Queued), percent(g.Share), percent(g.Entitled))
	}
	return t.within(columns, "FLOWS", "WEIGHT")
}

func newRequests() *cobra.Command {
	var (
		l     listing
		every *bool
	)
	cmd := &cobra.Command{
		Use: "requests", Short: "List the requests that wait or are in flight",
		Long:    "Lists the requests of the whole fleet, the oldest first. Each is named by its x-request-id.",
		Example: "  weir requests --state waiting\n  weir requests --flow team-a --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := l.client()
			if err != nil {
				return err
			}
			all, err := c.Requests(cmd.Context(), l.asked(cmd))
			if err != nil {
				return explained(c, err)
			}
			if l.asJSON {
				return printJSON(cmd, all)
			}
			t := table{{"REQUEST", "FLOW", "PRIORITY", "STATE", "AGE", "INGRESS", "OWNER", "MODEL SERVER"}}
			for i := range all.Requests {
				r := &all.Requests[i]
				t.add(r.ID, r.Flow, fmt.Sprint(r.Priority), r.State, milliseconds(float64(r.AgeMS)), r.Ingress, r.Owner, r.Endpoint)
			}
			fmt.Fprint(cmd.OutOrStdout(), t.within(columnsOf(cmd, *every), "OWNER", "INGRESS", "PRIORITY", "MODEL SERVER", "AGE", "STATE"))
			printed(cmd, missing(all.Fleet))
			more(cmd, all.Page, len(all.Requests))
			return nil
		},
	}
	l.add(cmd)
	every = allColumns(cmd)
	cmd.Flags().StringVar(&l.query.State, "state", "", "waiting or in_flight; both by default")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"waiting", "in_flight"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}
