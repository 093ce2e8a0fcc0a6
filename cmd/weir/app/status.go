package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// overview is what weir status shows, and its JSON.
type overview struct {
	Pool     *api.Pool     `json:"pool"`
	Replicas []api.Replica `json:"replicas"`
	// Pickers are the other Endpoint Pickers that choose endpoints.
	Pickers []api.Picker `json:"pickers,omitempty"`
	// Groups are those of flows that had requests of late.
	Groups []api.GroupShare `json:"groups,omitempty"`
	// Shares and OverPriorities are what priorities and groups should have of the pool and had,
	// where anything is configured of that.
	Shares         []api.Share        `json:"shares,omitempty"`
	OverPriorities []api.GroupAccount `json:"groups_over_priorities,omitempty"`
	// Trouble is what is wrong with the fleet, and Tenants what holds single ones, in words.
	Trouble []string `json:"trouble"`
	Tenants []string `json:"tenants"`
}

// maxCauses bounds the reasons for refusals in an overview.
const maxCauses = 8

// Bounds on the tenants and the groups of an overview.
const (
	maxTenants = 10
	maxGroups  = 20
)

func newStatus() *cobra.Command {
	var (
		o     operator
		every *bool
	)
	cmd := &cobra.Command{
		Use: "status", Short: "Show the pool, its priorities, its replicas and what is wrong",
		Long:    "Shows on one screen how the pool does, over the whole fleet: its limit and what is in flight, what waits at each priority, the groups, the replicas, and what is wrong; of each pool, where a replica has several and none is named.\n\nIt ends with code 2 if something is wrong with the fleet, and 4 if no replica answers.",
		Example: "  weir status\n  weir status --admin weir-0.example:9090 --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			views, err := each(cmd.Context(), c, look)
			if err != nil {
				return explained(c, err)
			}
			if err := shown(cmd, &o, views, func(v *overview) { v.print(cmd.OutOrStdout(), columnsOf(cmd, *every)) }); err != nil {
				return err
			}
			for _, v := range views {
				if v.err == nil && len(v.answer.Trouble) > 0 {
					return &exitError{code: exitTrouble}
				}
			}
			return nil
		},
	}
	o.add(cmd)
	every = allColumns(cmd)
	return cmd
}

// look asks for all that an overview has.
func look(ctx context.Context, c *api.Client) (*overview, error) {
	pool, err := c.Pool(ctx, api.Query{})
	if err != nil {
		return nil, err
	}
	replicas, err := c.Replicas(ctx, api.Query{Limit: 1000})
	if err != nil {
		return nil, err
	}
	endpoints, err := c.Endpoints(ctx, api.Query{Limit: 1000})
	if err != nil {
		return nil, err
	}
	pickers, err := c.Pickers(ctx, api.Query{Limit: 1000})
	if errors.Is(err, api.ErrNotFound) { // an earlier version's replica
		pickers, err = &api.Pickers{}, nil
	}
	if err != nil {
		return nil, err
	}
	flows, err := c.Flows(ctx, api.Query{Sort: "-queued", Limit: 100})
	if err != nil {
		return nil, err
	}
	shares, err := c.Shares(ctx, api.Query{})
	if err != nil {
		return nil, err
	}
	v := &overview{Pool: pool, Replicas: replicas.Replicas, Pickers: pickers.Pickers, Groups: shares.Groups, Trouble: missing(pool.Fleet), Tenants: []string{}}
	if shared(shares) {
		v.Shares, v.OverPriorities = shares.Shares, shares.OverPriorities
	}
	v.judge(endpoints.Endpoints)
	v.judgeTenants(flows.Flows)
	return v, nil
}

// weightOf is a priority's weight; a higher one goes first where there is none.
func weightOf(b *api.Band) string {
	if b.Weight == 0 {
		return "-"
	}
	return fmt.Sprintf("%g", b.Weight)
}

// print prints the overview for people, its tables as wide as there are columns.
func (v *overview) print(out io.Writer, columns int) {
	v.printPool(out, columns)
	v.printBands(out, columns)
	v.printGroups(out, columns)
	v.printShares(out, columns)
	v.printReplicas(out, columns)
	v.printPickers(out, columns)
	told(out, "Trouble", v.Trouble, columns)
	told(out, "Tenants that wait", v.Tenants, columns)
}

// told prints sentences under a title, if there are any.
func told(out io.Writer, title string, sentences []string, columns int) {
	if len(sentences) > 0 {
		fmt.Fprintf(out, "\n%s:\n", title)
	}
	for _, text := range sentences {
		fmt.Fprintln(out, wrapped("  "+text, columns, "    "))
	}
}

func (v *overview) printBands(out io.Writer, columns int) {
	bands := table{{"PRIORITY", "FLOWS", "IN FLIGHT", "LIMIT", "WAITING", "OLDEST", "SENT/S", "WAIT P50", "P99", "WEIGHT", "FAIRNESS"}}
	for i := range v.Pool.Bands {
		b := &v.Pool.Bands[i]
		bands.add(fmt.Sprint(b.Priority), fmt.Sprint(b.Flows), fmt.Sprint(b.InFlight), limited(b.Limit), fmt.Sprint(b.Queued),
			milliseconds(float64(b.OldestMS)), perSecond(b.Recent.Dispatched), milliseconds(b.Recent.WaitP50MS), milliseconds(b.Recent.WaitP99MS), weightOf(b), b.Fairness)
	}
	if len(v.Pool.Bands) > 0 {
		fmt.Fprintf(out, "\n%s", bands.within(columns, "FAIRNESS", "WEIGHT", "FLOWS", "OLDEST", "LIMIT", "SENT/S", "P99", "WAIT P50"))
	}
}

func (v *overview) printGroups(out io.Writer, columns int) {
	if len(v.Groups) > 0 {
		fmt.Fprintf(out, "\n%s", groupTable(v.Groups[:min(len(v.Groups), maxGroups)], columns))
	}
	if rest := len(v.Groups) - maxGroups; rest > 0 {
		fmt.Fprintf(out, "and %d further groups\n", rest)
	}
}

func (v *overview) printShares(out io.Writer, columns int) {
	if len(v.Shares)+len(v.OverPriorities) > 0 {
		fmt.Fprintf(out, "\n%s", sharesTable(v.Shares, v.OverPriorities, columns))
	}
}

func (v *overview) printReplicas(out io.Writer, columns int) {
	fmt.Fprintf(out, "\n%s", replicaTable(v.Replicas, columns))
}

func (v *overview) printPickers(out io.Writer, columns int) {
	if len(v.Pickers) == 0 {
		return
	}
	t := table{{"PICKER", "STATE", "ASKED", "UNANSWERED", "FAILED", "TAKEN OUT"}}
	for i := range v.Pickers {
		p := &v.Pickers[i]
		t.add(p.Address, strings.ReplaceAll(p.State, "_", " "), fmt.Sprint(p.Asked), fmt.Sprint(p.Unanswered), fmt.Sprint(p.Failed), fmt.Sprint(p.Ejected))
	}
	fmt.Fprintf(out, "\n%s", t.within(columns, "UNANSWERED", "TAKEN OUT", "ASKED", "FAILED"))
}

// printPool prints the pool as a whole.
func (v *overview) printPool(out io.Writer, columns int) {
	p := v.Pool
	line := func(format string, args ...any) {
		fmt.Fprintln(out, wrapped(plain(fmt.Sprintf(format, args...)), columns, "  "))
	}
	use := ""
	if p.Limit != nil && *p.Limit > 0 {
		use = " (" + percent(float64(p.InFlight)/float64(*p.Limit)) + ")"
	}
	line("Pool %s: %d in flight, limit %s%s; %d waiting", p.Pool, p.InFlight, limited(p.Limit), use, p.Queued)
	line("Last %s: %s sent/s, %s not served/s; wait p50 %s, p99 %s", milliseconds(float64(p.Recent.SpanMS)),
		perSecond(p.Recent.Dispatched), perSecond(p.NotServed), milliseconds(p.Recent.WaitP50MS), milliseconds(p.Recent.WaitP99MS))
	servers := plural(int64(p.Endpoints), "model server") + " in use"
	if p.EndpointsEjected > 0 {
		servers += fmt.Sprintf(", %d ejected", p.EndpointsEjected)
	}
	if p.EndpointsDrained > 0 {
		servers += fmt.Sprintf(", %d drained", p.EndpointsDrained)
	}
	line("Ledger %s, %s, turns of %s; %s", p.Ledger.State, plural(int64(p.Ledger.Members), "replica"), milliseconds(p.Ledger.TurnMS), servers)
	if p.Stages != nil {
		line("Stages: prefill %s full, decode %s full", percent(p.Stages["prefill"]), percent(p.Stages["decode"]))
	}
	if p.Shadow {
		line("%s", shadowed)
	}
	if len(p.Refusals) > 0 {
		causes := make([]string, 0, maxCauses)
		for _, r := range p.Refusals[:min(len(p.Refusals), maxCauses)] {
			causes = append(causes, r.Code+" "+perSecond(r.PerSecond))
		}
		line("Refused, a second: %s", strings.Join(causes, ", "))
	}
}

// shadowed is said wherever flow control's figures are, while it is only played.
const shadowed = "Shadow: requests go at once and none is refused; what is shown is what flow control would do with them"

// replicaTable shows replicas, as wide as there are columns.
func replicaTable(all []api.Replica, columns int) table {
	t := table{{"REPLICA", "VERSION", "UP", "LEDGER", "TURN", "WAITING", "IN FLIGHT", "QUEUED HERE", "SHARDS"}}
	for i := range all {
		r := &all[i]
		up, ledger := "-", r.LedgerState
		if r.Started != nil {
			up = time.Since(*r.Started).Round(time.Second).String()
		}
		if r.Shadow {
			ledger += ", shadow"
		}
		if !r.Answered {
			ledger = "no answer"
		}
		t.add(r.ID, r.Version, up, ledger, milliseconds(r.TurnMS), fmt.Sprint(r.Waiting), fmt.Sprint(r.InFlight), fmt.Sprint(r.Queued), fmt.Sprint(r.Shards))
	}
	return t.within(columns, "SHARDS", "QUEUED HERE", "VERSION", "UP", "TURN")
}
