package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
)

func newWhy() *cobra.Command {
	var o operator
	cmd := &cobra.Command{
		Use: "why REQUEST-ID|FLOW", Short: "Say why a request waits, or the oldest one of a flow",
		Long:    "Says what holds a request, where it stands, what goes before it and about how long it will still wait. A request is named by its x-request-id; of a flow it is the one that has waited longest, in whichever pool.\n\nIt ends with code 2 if a pool failed in which one may have waited longer; it ends with code 3 if there is no such request or flow.",
		Example: "  weir why 5f1c9a52-8d6e-4f3a-9f7e-0c2b7c1d9e10\n  weir why team-a",
		GroupID: groupLook,
		Args:    named("request, by its x-request-id, or one flow"), ValidArgsFunction: o.flows,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			found, failed, err := find(cmd.Context(), c, args[0])
			if err != nil {
				return explained(c, err)
			}
			if o.asJSON {
				err = printJSON(cmd, struct {
					Pool string `json:"pool,omitempty"`
					*api.RequestDetail
				}{found.pool, found.answer})
			} else {
				below(cmd.OutOrStdout(), columnsOf(cmd, false), []ofPool[*api.RequestDetail]{found}, func(r *api.RequestDetail) {
					say(cmd.OutOrStdout(), r, columnsOf(cmd, false))
				})
				printed(cmd, missing(found.answer.Fleet))
			}
			for i := range failed {
				printed(cmd, []string{plain(fmt.Sprintf("one of this pool may have waited longer: %v", failed[i].named()))})
			}
			return cmp.Or(err, troubled(failed))
		},
	}
	o.add(cmd)
	return cmd
}

// find returns the request of that id, or the one of that flow that has waited longest, in
// whichever pool; and the pools that failed, where it may have been in one of them.
func find(ctx context.Context, c *api.Client, name string) (found ofPool[*api.RequestDetail], failed []ofPool[*api.RequestDetail], err error) {
	found, unknown := first(ctx, c, func(ctx context.Context, c *api.Client) (*api.RequestDetail, error) { return c.Request(ctx, name) })
	if unknown == nil {
		return found, nil, nil
	}
	all, err := each(ctx, c, func(ctx context.Context, c *api.Client) (*api.RequestDetail, error) { return oldest(ctx, c, name) })
	switch {
	case err != nil && !isNotFound(unknown):
		return found, nil, unknown
	case isNotFound(err):
		return found, nil, &exitError{exitNotFound, fmt.Errorf("no request %q waits or is in flight, and nothing of a flow %q waits", name, name)}
	case err != nil:
		return found, nil, err
	}
	for _, of := range all {
		switch {
		case of.err != nil:
			failed = append(failed, of)
		case found.answer == nil || of.answer.Arrived.Before(found.answer.Arrived):
			found = of
		}
	}
	return found, failed, nil
}

// looks is how often the oldest request of a flow is looked for that goes meanwhile.
const looks = 3

// oldest returns the request of a flow that has waited longest; api.ErrNotFound for none.
func oldest(ctx context.Context, c *api.Client, flow string) (*api.RequestDetail, error) {
	for range looks {
		waiting, err := c.Requests(ctx, api.Query{Flow: flow, State: "waiting", Limit: 1000})
		if err != nil {
			return nil, err
		}
		if len(waiting.Requests) == 0 {
			return nil, api.ErrNotFound
		}
		of := slices.MinFunc(waiting.Requests, func(a, b api.Request) int { return a.Arrived.Compare(b.Arrived) })
		r, err := c.Request(ctx, of.Ticket)
		if !errors.Is(err, api.ErrNotFound) {
			return r, err
		}
	}
	return nil, fmt.Errorf("%w now: what waits of the flow %q goes as fast as it is looked for", api.ErrUnavailable, flow)
}

// say says in words why a request waits, in lines of so many columns.
func say(out io.Writer, r *api.RequestDetail, columns int) {
	line := func(format string, args ...any) {
		fmt.Fprintln(out, wrapped(plain(fmt.Sprintf(format, args...)), columns, "  "))
	}
	age := milliseconds(float64(r.AgeMS))
	if r.Shadow {
		line("shadow: the request went at once; this is what flow control would do with it")
	}
	if r.Why == nil {
		at := ""
		if r.Endpoint != "" {
			at = " at " + r.Endpoint
		}
		line("%s of %s came %s ago and is in flight%s; it came in by %s", r.ID, r.Flow, age, at, r.Ingress)
		return
	}
	w := r.Why
	part := ""
	if w.FleetPart > 0 {
		part = fmt.Sprintf("its share is one over all pools: it counts for %s of its weight here, by what it or its group holds here and in the others", percent(w.FleetPart))
	}
	if r.InLine {
		line("%s of %s waits %s; %s", r.ID, r.Flow, age, w.Reason)
		if part != "" {
			line("%s", part)
		}
		return
	}
	place := fmt.Sprintf("place %d of %d at priority %d (%d of its own flow)", w.Place, w.InBand, r.Priority, w.PlaceInFlow)
	if w.Group != "" {
		group := "in its group " + w.Group
		if w.Group == shard.Others {
			group = "among those in no group"
		}
		place = fmt.Sprintf("place %d of %d %s (%d of its own flow); %s at priority %d, where groups take turns",
			w.Place, w.InGroup, group, w.PlaceInFlow, waiting(int64(w.InBand)), r.Priority)
	}
	line("%s of %s waits %s; %s; %s", r.ID, r.Flow, age, place, w.Reason)
	if part != "" {
		line("%s", part)
	}
	if w.ExpectedMS != nil {
		line("it goes in about %s, at the rate of late", strings.Replace(milliseconds(float64(*w.ExpectedMS)), "-", "no time", 1))
	}
	if len(w.Ahead) == 0 {
		return
	}
	t := table{{"BEFORE IT", "PRIORITY", "REQUESTS"}}
	for _, a := range w.Ahead[:min(len(w.Ahead), maxTenants)] {
		name := a.Flow
		if name == "" {
			name = "(all flows)"
		}
		t.add(name, fmt.Sprint(a.Priority), fmt.Sprint(a.Requests))
	}
	fmt.Fprint(out, t)
	if rest := w.AheadFlows - maxTenants; rest > 0 {
		fmt.Fprintf(out, "and %d further flows\n", rest)
	}
}
