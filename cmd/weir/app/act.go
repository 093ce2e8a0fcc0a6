package app

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/suggest"
)

// named has a command take one name of something.
func named(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s: name one %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

func newSet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set", Short: "Set weights and limits, or drain a model server, for a time",
		Long:    "Changes something at all replicas for a time, after which it is as configured again. The ledger keeps it, so that it holds over restarts. weir overrides lists what is set, and weir unset takes it back.",
		GroupID: groupAct,
	}
	cmd.AddCommand(newSetFlow(), newSetEndpoint())
	return cmd
}

// override is the flags of a command that sets something.
type override struct {
	operator
	api.SetOverride
	holds longTime
}

func (s *override) add(cmd *cobra.Command) {
	s.operator.add(cmd)
	cmd.Flags().Var(&s.holds, "for", "how long it holds, such as 10m, 2h or 1d; a week at most")
	cmd.Flags().StringVar(&s.Why, "why", "", "what others read beside it")
}

// run sets it, and lists what is set now.
func (s *override) run(cmd *cobra.Command) error {
	if err := given(cmd, "say how long it holds", "for"); err != nil {
		return err
	}
	s.For = time.Duration(s.holds).String()
	return s.change(cmd, func(ctx context.Context, c *api.Client) (*api.Overrides, error) {
		return c.SetOverride(ctx, &s.SetOverride)
	})
}

// unknown says that a flow that something was set of has had no request, and which may have been
// meant; empty for one that has.
func unknown(ctx context.Context, c *api.Client, flow string) string {
	known, err := c.Flows(ctx, api.Query{Limit: 1000})
	if err != nil || known.Total > len(known.Flows) && !slices.ContainsFunc(known.Flows, func(f api.Flow) bool { return f.ID == flow }) {
		known, err = c.Flows(ctx, api.Query{Flow: flow, Limit: 1000})
	}
	if err != nil {
		return "" // what was set is set
	}
	ids := make([]string, 0, len(known.Flows))
	for i := range known.Flows {
		ids = append(ids, known.Flows[i].ID)
	}
	if slices.Contains(ids, flow) {
		return ""
	}
	text := fmt.Sprintf("no request of flow %q has come of late: what is set holds once one does", flow)
	if meant := suggest.Closest(flow, ids); meant != "" {
		text += fmt.Sprintf("; did you mean %q?", meant)
	}
	return text
}

// change changes what is set, and lists what is then.
func (o *operator) change(cmd *cobra.Command, change func(context.Context, *api.Client) (*api.Overrides, error)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	var reached atomic.Bool // a connection: until there is one nothing can have been done
	ctx := httptrace.WithClientTrace(cmd.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { reached.Store(true) }})
	all, err := change(ctx, c)
	if late := interface{ Timeout() bool }(nil); reached.Load() && errors.As(err, &late) && late.Timeout() {
		return &exitError{exitUnreachable, fmt.Errorf("%s has not answered in time, and it may have been done all the same; weir overrides says whether: %w", c.Address, err)}
	}
	if err != nil {
		return explained(c, err)
	}
	if o.asJSON {
		return printJSON(cmd, all)
	}
	printOverrides(cmd, all)
	return nil
}

func newSetFlow() *cobra.Command {
	var (
		s        override
		weight   float64
		inFlight int64
		tokens   float64
	)
	cmd := &cobra.Command{
		Use: "flow NAME", Short: "Change a tenant's weight or limits for a time",
		Long:    "Changes a flow's weight or limits at all its priorities and all replicas, for a time. What is not given stays as configured. It replaces what was set of the flow before.",
		Example: "  weir set flow team-a --weight 3 --for 10m\n  weir set flow team-b --max-in-flight 5 --for 2h --why 'runaway batch job'",
		Args:    named("flow"), ValidArgsFunction: s.flows,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Flow = args[0]
			if err := given(cmd, "say what is to be set", "weight", "max-in-flight", "tokens-per-minute"); err != nil {
				return err
			}
			changed := cmd.Flags().Changed
			if changed("weight") {
				s.Weight = &weight
			}
			if changed("max-in-flight") {
				s.MaxInFlight = &inFlight
			}
			if changed("tokens-per-minute") {
				s.TokensPerMinute = &tokens
			}
			if err := s.run(cmd); err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			if text := unknown(cmd.Context(), c, s.Flow); text != "" {
				printed(cmd, []string{plain(text)})
			}
			return nil
		},
	}
	cmd.Flags().Float64Var(&weight, "weight", 0, "its share beside other flows; what is configured by default")
	cmd.Flags().Int64Var(&inFlight, "max-in-flight", 0, "how many of its requests may be in flight; 0 for no limit")
	cmd.Flags().Float64Var(&tokens, "tokens-per-minute", 0, "how many tokens its requests may cost a minute; 0 for no limit")
	s.add(cmd)
	return cmd
}

func newSetEndpoint() *cobra.Command {
	var s override
	cmd := &cobra.Command{
		Use: "endpoint NAME", Short: "Drain a model server for a time",
		Long:    "Has no replica send anything more to a model server, for a time. What is in flight there ends by itself. It is named by its name, address or URL.",
		Example: "  weir set endpoint vllm-0 --drain --for 1h --why 'driver update'",
		Args:    named("model server"), ValidArgsFunction: s.endpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Endpoint = args[0]
			if err := given(cmd, "say what is to be set", "drain"); err != nil {
				return err
			}
			return s.run(cmd)
		},
	}
	cmd.Flags().BoolVar(&s.Drain, "drain", false, "send nothing more there")
	s.add(cmd)
	return cmd
}

func newUnset() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unset", Short: "Take back what was set for a time",
		Long:    "Takes back what weir set has set: it is as configured again at once.",
		GroupID: groupAct,
	}
	var flow, endpoint operator
	ofFlow := &cobra.Command{
		Use: "flow NAME", Short: "Give a tenant its configured weight and limits back",
		Example: "  weir unset flow team-a", Args: named("flow"), ValidArgsFunction: flow.flows,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flow.change(cmd, func(ctx context.Context, c *api.Client) (*api.Overrides, error) { return c.TakeBack(ctx, args[0], "") })
		},
	}
	ofEndpoint := &cobra.Command{
		Use: "endpoint NAME", Short: "Send requests to a drained model server again",
		Example: "  weir unset endpoint vllm-0", Args: named("model server"), ValidArgsFunction: endpoint.endpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			return endpoint.change(cmd, func(ctx context.Context, c *api.Client) (*api.Overrides, error) { return c.TakeBack(ctx, "", args[0]) })
		},
	}
	flow.add(ofFlow)
	endpoint.add(ofEndpoint)
	cmd.AddCommand(ofFlow, ofEndpoint)
	return cmd
}

func newOverrides() *cobra.Command {
	var o operator
	cmd := &cobra.Command{
		Use: "overrides", Short: "List what weir set has set for a time",
		Long:    "Lists the flows' weights and limits that operators set for a time, and the model servers that are drained.",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listed(cmd, &o, func(ctx context.Context, c *api.Client) (*api.Overrides, error) { return c.Overrides(ctx, api.Query{}) }, func(all *api.Overrides) {
				printOverrides(cmd, all)
			})
		},
	}
	o.add(cmd)
	return cmd
}

// printOverrides shows what is set.
func printOverrides(cmd *cobra.Command, all *api.Overrides) {
	if len(all.Overrides) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing is set: all is as configured")
	} else {
		fmt.Fprint(cmd.OutOrStdout(), overrideTable(all.Overrides, time.Now(), columnsOf(cmd, false)))
	}
	printed(cmd, missing(all.Fleet))
}

// overrideTable shows what is set, as wide as there are columns.
func overrideTable(all []api.Override, now time.Time, columns int) table {
	t := table{{"OF", "SET", "LEFT", "WHY"}}
	for i := range all {
		o := &all[i]
		of, set := "flow "+o.Flow, []string{}
		if o.Endpoint != "" {
			of = "endpoint " + o.Endpoint
		}
		if o.Weight != nil {
			set = append(set, fmt.Sprintf("weight %v", *o.Weight))
		}
		if o.MaxInFlight != nil || o.TokensPerMinute != nil {
			set = append(set, limitSet(o))
		}
		if o.Drain {
			set = append(set, "drained")
		}
		t.add(of, strings.Join(set, ", "), milliseconds(float64(o.Until.Sub(now).Milliseconds())), o.Why)
	}
	return t.shortened(columns, "WHY", 10).shortened(columns, "OF", 20)
}

// limitSet is a limit that was set, in words.
func limitSet(o *api.Override) string {
	var parts []string
	if n := o.MaxInFlight; n != nil {
		parts = append(parts, fmt.Sprintf("limit %d in flight", *n))
		if *n == 0 {
			parts[0] = "no limit in flight"
		}
	}
	if n := o.TokensPerMinute; n != nil {
		text := fmt.Sprintf("limit %.0f tokens/min", *n)
		if *n == 0 {
			text = "no limit of tokens"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func newEvict() *cobra.Command {
	var o operator
	cmd := &cobra.Command{
		Use: "evict REQUEST-ID", Short: "End a request that waits, or a sheddable one in flight",
		Long:    "Ends a request that waits, or one in flight of a priority below 0, at whichever replica its connection is. It is named by its x-request-id, or by its ticket. Its client is answered 503 if its answer has not begun.\n\nIt ends with code 3 if there is no such request.",
		Example: "  weir evict 5f1c9a52-8d6e-4f3a-9f7e-0c2b7c1d9e10",
		GroupID: groupAct, Args: named("request"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			gone, err := first(cmd.Context(), c, func(ctx context.Context, c *api.Client) (*api.Evicted, error) { return c.Evict(ctx, args[0]) })
			switch {
			case err != nil:
				return explained(c, err)
			case o.asJSON:
				return printJSON(cmd, gone.answer)
			}
			for i := range gone.answer.Requests {
				r := &gone.answer.Requests[i]
				text := plain(fmt.Sprintf("ended: %s of %s, priority %d, which was %s", r.ID, r.Flow, r.Priority, strings.ReplaceAll(r.State, "_", " ")))
				fmt.Fprintln(cmd.OutOrStdout(), wrapped(text, columnsOf(cmd, false), "  "))
			}
			printed(cmd, missing(gone.answer.Fleet))
			return nil
		},
	}
	o.add(cmd)
	return cmd
}
