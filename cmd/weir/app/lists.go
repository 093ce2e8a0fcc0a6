package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
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

// asked is the query as the flags say.
func (l *listing) asked(cmd *cobra.Command) api.Query {
	if cmd.Flags().Changed("priority") {
		l.query.Priority = &l.priority
	}
	return l.query
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
		Long:    "Lists the flows of the whole fleet, those that wait most first. SHARE is a flow's part of what its priority dispatched of late, DUE what it should have beside those that wait now: with few clients, of which often none waits, it jumps. OWN LIMIT is how many of its requests may be in flight, or how many tokens it may use a minute; at says that it is reached. Where the table is too wide for the terminal, columns go and long names are cut; --wide has everything, also the tokens that model servers counted.",
		Example: "  weir flows\n  weir flows --sort -in_flight --limit 10\n  weir flows --group acme\n  weir flows --flow team- --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := l.asked(cmd)
			return listed(cmd, &l.operator, func(ctx context.Context, c *api.Client) (*api.Flows, error) { return c.Flows(ctx, q) }, func(all *api.Flows) {
				played(cmd, all.Shadow)
				if len(all.Flows) > 0 {
					fmt.Fprint(cmd.OutOrStdout(), flowTable(all.Flows, columnsOf(cmd, *every)))
				} else if q.Flow != "" || q.Group != "" || q.Priority != nil {
					fmt.Fprintln(cmd.OutOrStdout(), "No flow is like that, of those that had a request of late.")
				} else {
					fmt.Fprintln(cmd.OutOrStdout(), "No flow has had a request of late.")
				}
				printed(cmd, missing(all.Fleet))
				more(cmd, all.Page, len(all.Flows))
			})
		},
	}
	l.add(cmd)
	every = allColumns(cmd)
	cmd.Flags().StringVar(&l.query.Group, "group", "", "those in this group, by its path, or in one that is in it")
	must(cmd.RegisterFlagCompletionFunc("group", l.groups))
	cmd.Flags().StringVar(&l.query.Sort, "sort", "-queued", "order, such as -queued, -in_flight, id")
	return cmd
}

// played says that figures are of flow control as it is played.
func played(cmd *cobra.Command, shadow bool) {
	if shadow {
		fmt.Fprintln(cmd.OutOrStdout(), wrapped(shadowed, columnsOf(cmd, false), "  "))
	}
}

// flowTable shows flows, as wide as there are columns; 0 for all that there is.
func flowTable(flows []api.Flow, columns int) table {
	t := table{{"FLOW", "GROUP", "PRIORITY", "WEIGHT", "WAITING", "OLDEST", "IN FLIGHT", "SHARE", "DUE", "OWN LIMIT", "SENT/S", "REFUSED/S", "WAIT P99", "TOKENS IN", "CACHED", "OUT"}}
	grouped, limited := false, false
	for i := range flows {
		f := &flows[i]
		grouped, limited = grouped || f.Group != "", limited || f.Limit != nil
		t.add(f.ID, groupName(f.Group), fmt.Sprint(f.Priority), fmt.Sprintf("%.4g", f.Weight), fmt.Sprint(f.Queued), milliseconds(float64(f.OldestMS)), fmt.Sprint(f.InFlight),
			percent(f.Share), percent(f.Entitled), shortLimit(f), perSecond(f.Recent.Dispatched), perSecond(f.Recent.Refused), milliseconds(f.Recent.WaitP99MS),
			fmt.Sprint(f.TokensIn), fmt.Sprint(f.TokensCached), fmt.Sprint(f.TokensOut))
	}
	if !grouped {
		t = t.without("GROUP")
	}
	if !limited && columns > 0 {
		t = t.without("OWN LIMIT")
	}
	return t.within(columns, "CACHED", "TOKENS IN", "OUT", "OLDEST", "WEIGHT", "REFUSED/S", "SENT/S", "WAIT P99").
		shortened(columns, "FLOW", 12).shortened(columns, "GROUP", 10).within(columns, "GROUP", "DUE", "OWN LIMIT", "PRIORITY", "SHARE")
}

// shortLimit is a flow's own limit in few words.
func shortLimit(f *api.Flow) string {
	if f.Limit == nil {
		return "-"
	}
	var parts []string
	if n := f.Limit.MaxInFlight; n > 0 {
		parts = append(parts, fmt.Sprint(n))
	}
	if n := f.Limit.TokensPerMinute; n > 0 {
		parts = append(parts, config.Quantity(n).String()+"/min")
	}
	text := strings.Join(parts, ", ")
	if f.AtLimit {
		text = "at " + text
	}
	return text
}

// groupName is a group's path; flows in no group share the group * where they are.
func groupName(path string) string {
	outer, others := strings.CutSuffix(path, "*")
	switch {
	case !others:
		return path
	case outer == "":
		return "(no group)"
	}
	return outer + "(no group)"
}

// groupTable shows groups of flows, as wide as there are columns.
func groupTable(groups []api.GroupShare, columns int) table {
	t := table{{"GROUP", "PRIORITY", "WEIGHT", "FLOWS", "IN FLIGHT", "WAITING", "SHARE", "DUE", "MAXIMUM"}}
	capped := false
	for i := range groups {
		g := &groups[i]
		most := "-"
		if g.Maximum != nil {
			capped = true
			if most = fmt.Sprintf("%d of %d", g.InFlightOfAll, *g.Maximum); g.AtMaximum {
				most = "at " + most
			}
		}
		t.add(groupName(g.Group), fmt.Sprint(g.Priority), fmt.Sprintf("%.4g", g.Weight), fmt.Sprint(g.Flows), fmt.Sprint(g.InFlight), fmt.Sprint(g.Queued), percent(g.Share), percent(g.Entitled), most)
	}
	if !capped {
		t = t.without("MAXIMUM")
	}
	return t.within(columns, "FLOWS", "WEIGHT").shortened(columns, "GROUP", 10).within(columns, "DUE", "PRIORITY", "SHARE")
}

func newRequests() *cobra.Command {
	var (
		l     listing
		every *bool
	)
	cmd := &cobra.Command{
		Use: "requests", Short: "List the requests that wait or are in flight",
		Long:    "Lists the requests of the whole fleet, the oldest first. Each is named by its x-request-id. STATE is waiting, in flight, or next: that one waits in no queue any more.",
		Example: "  weir requests --state waiting\n  weir requests --flow team-a --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := l.asked(cmd)
			return listed(cmd, &l.operator, func(ctx context.Context, c *api.Client) (*api.Requests, error) { return c.Requests(ctx, q) }, func(all *api.Requests) {
				played(cmd, slices.ContainsFunc(all.Requests, func(r api.Request) bool { return r.Shadow }))
				if len(all.Requests) > 0 {
					fmt.Fprint(cmd.OutOrStdout(), requestTable(all.Requests, columnsOf(cmd, *every)))
					fmt.Fprint(cmd.OutOrStdout(), nextWords(all.Requests, columnsOf(cmd, false)))
				} else if q.Flow != "" || q.Priority != nil || q.State != "" {
					fmt.Fprintln(cmd.OutOrStdout(), "No request is like that.")
				} else {
					fmt.Fprintln(cmd.OutOrStdout(), "Nothing waits and nothing is in flight.")
				}
				printed(cmd, missing(all.Fleet))
				more(cmd, all.Page, len(all.Requests))
			})
		},
	}
	l.add(cmd)
	every = allColumns(cmd)
	cmd.Flags().StringVar(&l.query.State, "state", "", "waiting or in_flight; both by default")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"waiting", "in_flight"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// nextWords says of requests that are next when they go, by their ingresses; empty where none is.
func nextWords(all []api.Request, columns int) string {
	next := make(map[string]int64)
	for i := range all {
		if all[i].InLine {
			next[all[i].Ingress]++
		}
	}
	var text strings.Builder
	for _, ingress := range slices.Sorted(maps.Keys(next)) {
		words := "is next: it goes"
		if next[ingress] > 1 {
			words = "are next: each goes"
		}
		fmt.Fprintln(&text, wrapped(plain(fmt.Sprintf("%s %s when a request of %s ends", plural(next[ingress], "request"), words, ingress)), columns, "  "))
	}
	return text.String()
}

// requestTable shows requests, as wide as there are columns. What names one is never cut.
func requestTable(all []api.Request, columns int) table {
	t := table{{"REQUEST", "FLOW", "PRIORITY", "STATE", "AGE", "INGRESS", "OWNER", "MODEL SERVER"}}
	for i := range all {
		r := &all[i]
		state := strings.ReplaceAll(r.State, "_", " ")
		if r.InLine {
			state = "next"
		}
		t.add(r.ID, r.Flow, fmt.Sprint(r.Priority), state, milliseconds(float64(r.AgeMS)), r.Ingress, r.Owner, r.Endpoint)
	}
	return t.within(columns, "OWNER", "INGRESS", "PRIORITY", "MODEL SERVER").shortened(columns, "FLOW", 12).within(columns, "AGE", "STATE")
}

func newEndpoints() *cobra.Command {
	var (
		o     operator
		limit int
		every *bool
	)
	cmd := &cobra.Command{
		Use: "endpoints", Short: "List the model servers: their load and whether they are used",
		Long:    "Lists the model servers of the pool. STATE is in use; ejected, where a replica cannot reach it; or drained, where an operator has nothing more sent there. IN FLIGHT is over the fleet. RUNS, QUEUES and KV CACHE are its own figures, READ how long ago; they are there where a detector or a scorer needs them.",
		Example: "  weir endpoints\n  weir set endpoint vllm-0 --drain --for 1h --why 'driver update'",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := api.Query{Limit: limit}
			return listed(cmd, &o, func(ctx context.Context, c *api.Client) (*api.Endpoints, error) { return c.Endpoints(ctx, q) }, func(all *api.Endpoints) {
				if len(all.Endpoints) > 0 {
					fmt.Fprint(cmd.OutOrStdout(), endpointTable(all.Endpoints, columnsOf(cmd, *every)))
				} else {
					fmt.Fprintln(cmd.OutOrStdout(), "The pool has no model server.")
				}
				printed(cmd, missing(all.Fleet))
				more(cmd, all.Page, len(all.Endpoints))
			})
		},
	}
	o.add(cmd)
	cmd.Flags().IntVar(&limit, "limit", 50, "how many at most")
	every = allColumns(cmd)
	return cmd
}

// endpointTable shows model servers, as wide as there are columns.
func endpointTable(all []api.Endpoint, columns int) table {
	t := table{{"MODEL SERVER", "STATE", "IN FLIGHT", "RUNS", "QUEUES", "KV CACHE", "READ", "ADDRESS"}}
	read := false
	for i := range all {
		e := &all[i]
		state, runs, queues, cache, age := "in use", "-", "-", "-", "-"
		if e.Drained {
			state = "drained"
		}
		if !e.Healthy {
			state = "ejected by " + strings.Join(e.EjectedBy, ", ")
		}
		if e.Running != nil {
			runs = fmt.Sprint(*e.Running)
		}
		if e.Waiting != nil {
			queues = fmt.Sprint(*e.Waiting)
		}
		if e.KVCacheUsage != nil {
			cache = percent(*e.KVCacheUsage)
		}
		if e.AgeMS != nil {
			read, age = true, milliseconds(float64(max(1, *e.AgeMS)))+" ago"
		}
		t.add(e.Name, state, fmt.Sprint(e.InFlight), runs, queues, cache, age, e.URL)
	}
	if !read {
		t = t.without("RUNS").without("QUEUES").without("KV CACHE").without("READ")
	}
	return t.within(columns, "ADDRESS", "READ", "QUEUES").shortened(columns, "STATE", 7).within(columns, "RUNS", "KV CACHE")
}
