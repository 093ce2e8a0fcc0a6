package app

import (
	"context"
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
	// Groups are those of flows that had requests of late.
	Groups []api.GroupShare `json:"groups,omitempty"`
	// Trouble is what is wrong with the fleet, and Tenants what holds single ones, in words.
	Trouble []string `json:"trouble"`
	Tenants []string `json:"tenants"`
}

// longEnough is of how much time, in milliseconds, shares say something.
const longEnough = 20_000

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
		Long:    "Shows on one screen how the pool does, over the whole fleet: its limit and what is in flight, what waits at each priority, the replicas, and what is wrong.\n\nIt ends with code 2 if something is wrong with the fleet, and 4 if no replica answers.",
		Example: "  weir status\n  weir status --admin weir-0.example:9090 --json",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			v, err := look(cmd.Context(), c)
			switch {
			case err != nil:
				return explained(c, err)
			case o.asJSON:
				err = printJSON(cmd, v)
			default:
				v.print(cmd.OutOrStdout(), columnsOf(cmd, *every))
			}
			if err == nil && len(v.Trouble) > 0 {
				return &exitError{code: exitTrouble}
			}
			return err
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
	flows, err := c.Flows(ctx, api.Query{Sort: "-queued", Limit: 100})
	if err != nil {
		return nil, err
	}
	shares, err := c.Shares(ctx, api.Query{})
	if err != nil {
		return nil, err
	}
	v := &overview{Pool: pool, Replicas: replicas.Replicas, Groups: shares.Groups, Trouble: missing(pool.Fleet), Tenants: []string{}}
	v.judge(endpoints.Endpoints)
	v.judgeTenants(flows.Flows)
	return v, nil
}

// judge finds what is wrong with the fleet.
func (v *overview) judge(endpoints []api.Endpoint) {
	wrong := func(format string, args ...any) { v.Trouble = append(v.Trouble, plain(fmt.Sprintf(format, args...))) }
	switch state := v.Pool.Ledger.State; state {
	case "connected":
	case "outage":
		wrong("the ledger is out of reach: replicas go on within their shares of the limit")
	default:
		wrong("the ledger is %s", state)
	}
	switch limit := v.Pool.Limit; {
	case v.Pool.Endpoints == 0:
		wrong("no model server can be used")
	case limit != nil && *limit == 0:
		wrong("the pool takes nothing: every model server counts as full")
	}
	for i := range endpoints {
		if e := &endpoints[i]; !e.Healthy {
			wrong("model server %s cannot be reached by %s", e.Name, strings.Join(e.EjectedBy, ", "))
		}
	}
	named := make(map[string]bool) // as missing, before
	for _, m := range v.Pool.Fleet.Missing {
		named[m.Replica] = true
	}
	for i := range v.Replicas {
		switch r := &v.Replicas[i]; {
		case r.OtherLedger != nil:
			wrong("replica %s keeps another ledger: pool %s, prefix %s", r.ID, r.OtherLedger.Pool, r.OtherLedger.Prefix)
		case r.Lost != nil:
			wrong("replica %s is lost: %d requests of it may still run, for %.0f s at most", r.ID, r.Lost.InFlight, r.Lost.Seconds)
		case !r.Answered && !r.Leaving && !named[r.ID]:
			wrong("replica %s does not answer", r.ID)
		case len(r.Differs) > 0:
			wrong("replica %s has other settings: %s", r.ID, strings.Join(r.Differs, ", "))
		}
	}
	known := 0
	for i := range v.Replicas {
		if v.Replicas[i].OtherLedger == nil {
			known++
		}
	}
	if counted := v.Pool.Ledger.Members; counted > known {
		wrong("the ledger counts %d replicas and this one knows %d, which is all that is shown here: each needs --join with the addresses of others", counted, known)
	}
}

// judgeTenants finds those that wait for a limit of their own, or get much less than their
// share.
func (v *overview) judgeTenants(flows []api.Flow) {
	for i := range flows {
		f := &flows[i]
		text := ""
		switch {
		case f.Queued == 0:
		case f.AtLimit:
			text = "is at its own limit" + ownLimit(f.Limit)
		case f.AtMaximum != "":
			text = fmt.Sprintf("is in the group %q, which is at its maximum", f.AtMaximum)
		case f.Recent.SpanMS >= longEnough && f.Entitled > 0.01 && f.Share < f.Entitled/2:
			text = fmt.Sprintf("gets %s of its priority, and should get %s", percent(f.Share), percent(f.Entitled))
		}
		if text != "" && len(v.Tenants) < maxTenants {
			v.Tenants = append(v.Tenants, plain(fmt.Sprintf("%s, priority %d: %d wait; it %s", f.ID, f.Priority, f.Queued, text)))
		}
	}
}

// ownLimit is a flow's own limit in words.
func ownLimit(l *api.FlowLimit) string {
	var parts []string
	if l != nil && l.MaxInFlight > 0 {
		parts = append(parts, fmt.Sprintf("%d in flight", l.MaxInFlight))
	}
	if l != nil && l.TokensPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("%.0f tokens a minute", l.TokensPerMinute))
	}
	if len(parts) == 0 {
		return ""
	}
	return " of " + strings.Join(parts, " and ")
}

// print prints the overview for people, its tables as wide as there are columns.
func (v *overview) print(out io.Writer, columns int) {
	p := v.Pool
	use := ""
	if p.Limit != nil && *p.Limit > 0 {
		use = " (" + percent(float64(p.InFlight)/float64(*p.Limit)) + ")"
	}
	line := func(format string, args ...any) {
		fmt.Fprintln(out, wrapped(plain(fmt.Sprintf(format, args...)), columns, "  "))
	}
	line("Pool %s: %d in flight, limit %s%s; %d waiting", p.Pool, p.InFlight, limited(p.Limit), use, p.Queued)
	line("Last %s: %s dispatched/s, %s refused/s; wait p50 %s, p99 %s", milliseconds(float64(p.Recent.SpanMS)),
		perSecond(p.Recent.Dispatched), perSecond(p.Recent.Refused), milliseconds(p.Recent.WaitP50MS), milliseconds(p.Recent.WaitP99MS))
	line("Ledger %s, %d replicas, turns of %s; %d model servers, %d out of reach",
		p.Ledger.State, p.Ledger.Members, milliseconds(p.Ledger.TurnMS), p.Endpoints, p.EndpointsEjected)

	if p.Stages != nil {
		line("Stages: prefill %s full, decode %s full", percent(p.Stages["prefill"]), percent(p.Stages["decode"]))
	}
	if p.Shadow {
		line("Shadow: requests go at once and none is refused; what is shown is what flow control would do with them")
	}

	bands := table{{"PRIORITY", "FLOWS", "IN FLIGHT", "LIMIT", "WAITING", "OLDEST", "SENT/S", "WAIT P50", "P99", "POLICY"}}
	for i := range p.Bands {
		b := &p.Bands[i]
		bands.add(fmt.Sprint(b.Priority), fmt.Sprint(b.Flows), fmt.Sprint(b.InFlight), limited(b.Limit), fmt.Sprint(b.Queued),
			milliseconds(float64(b.OldestMS)), perSecond(b.Recent.Dispatched), milliseconds(b.Recent.WaitP50MS), milliseconds(b.Recent.WaitP99MS), b.Policy)
	}
	fmt.Fprintf(out, "\n%s", bands.within(columns, "POLICY", "FLOWS", "OLDEST", "LIMIT"))
	if len(v.Groups) > 0 {
		fmt.Fprintf(out, "\n%s", groupTable(v.Groups[:min(len(v.Groups), maxGroups)], columns))
		if rest := len(v.Groups) - maxGroups; rest > 0 {
			fmt.Fprintf(out, "and %d further groups\n", rest)
		}
	}
	replicas := table{{"REPLICA", "VERSION", "UP", "LEDGER", "TURN", "WAITING", "IN FLIGHT", "QUEUED HERE", "SHARDS"}}
	for i := range v.Replicas {
		r := &v.Replicas[i]
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
		replicas.add(r.ID, r.Version, up, ledger, milliseconds(r.TurnMS), fmt.Sprint(r.Waiting), fmt.Sprint(r.InFlight), fmt.Sprint(r.Queued), fmt.Sprint(r.Shards))
	}
	fmt.Fprintf(out, "\n%s", replicas.within(columns, "SHARDS", "QUEUED HERE", "VERSION", "UP", "TURN"))
	if len(p.Refusals) > 0 {
		causes := make([]string, 0, maxCauses)
		for _, r := range p.Refusals[:min(len(p.Refusals), maxCauses)] {
			causes = append(causes, r.Code+" "+perSecond(r.PerSecond))
		}
		fmt.Fprintln(out)
		line("Ended by the gateway, a second: %s", strings.Join(causes, ", "))
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Trouble", v.Trouble}, {"Tenants that wait", v.Tenants}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(out, "\n%s:\n", part.title)
			for _, text := range part.lines {
				fmt.Fprintln(out, wrapped("  "+text, columns, "    "))
			}
		}
	}
}
