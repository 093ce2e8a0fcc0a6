package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/duration"
)

func newUsage() *cobra.Command {
	var (
		o    operator
		q    api.Query
		last = longTime(24 * time.Hour)
		from string
		to   string
		wide *bool
	)
	cmd := &cobra.Command{
		Use: "usage", Short: "Show what tenants used, of the last 35 days",
		Long:    "Shows how many requests and tokens tenants used, over the whole fleet, in whole hours: the last day if nothing else is asked for. IN are tokens of prompts, CACHED the part of them that was in a cache, OUT those of answers, as model servers counted them; CHARGED is by what they were charged, SLOT TIME for how long their requests held slots.",
		Example: "  weir usage --last 7d\n  weir usage --from 2026-11-01 --to 2026-12-01 --json\n  weir usage --flow team-a --by hour\n  weir usage --by group --last 30d",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("last") && cmd.Flags().Changed("from") {
				return errors.New("--last and --from: give one of them")
			}
			var err error
			if q.From, q.To, err = spanOf(time.Duration(last), from, to, time.Now()); err != nil {
				return err
			}
			return listed(cmd, &o, func(ctx context.Context, c *api.Client) (*api.UsageList, error) { return c.Usage(ctx, q) }, func(all *api.UsageList) {
				heading := fmt.Sprintf("Used from %s until %s UTC, in whole hours", hourOf(all.From), hourOf(all.To))
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n", wrapped(heading, columnsOf(cmd, *wide), "  "))
				if len(all.Usage) > 0 {
					fmt.Fprint(cmd.OutOrStdout(), usageTable(all, q.By, columnsOf(cmd, *wide)))
				} else {
					fmt.Fprintln(cmd.OutOrStdout(), "Nothing was used.")
				}
				printed(cmd, missing(all.Fleet))
				more(cmd, all.Page, len(all.Usage))
			})
		},
	}
	o.add(cmd)
	wide = allColumns(cmd)
	cmd.Flags().StringVar(&q.By, "by", "flow", "what is told apart: flow, group, hour, flow,hour or group,hour")
	cmd.Flags().StringVar(&q.Flow, "flow", "", "of this flow alone")
	cmd.Flags().StringVar(&q.Group, "group", "", "of the flows in this group, by its path, or in one that is in it")
	cmd.Flags().Var(&last, "last", "of the last hours or days, such as 7d; an hour that has begun counts as a whole one")
	cmd.Flags().StringVar(&from, "from", "", "from a time on, such as 2026-11-01 or 2026-11-01T12:00:00Z; days begin in UTC")
	cmd.Flags().StringVar(&to, "to", "", "until a time")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many lines at most")
	must(cmd.RegisterFlagCompletionFunc("flow", o.flows))
	must(cmd.RegisterFlagCompletionFunc("group", o.groups))
	must(cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"flow", "group", "hour", "flow,hour", "group,hour"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// usageTable shows what was used, as wide as there are columns: by what was asked for.
func usageTable(all *api.UsageList, by string, columns int) table {
	t := table{{"HOUR", "FLOW", "GROUP", "REQUESTS", "IN", "CACHED", "OUT", "CHARGED", "SLOT TIME"}}
	grouped := false
	add := func(hour, flow, group string, u *api.Usage) {
		grouped = grouped || u.Group != ""
		t.add(hour, flow, group, strconv.FormatInt(u.Requests, 10), strconv.FormatInt(u.TokensIn, 10), strconv.FormatInt(u.TokensCached, 10),
			strconv.FormatInt(u.TokensOut, 10), strconv.FormatInt(u.Charged, 10), milliseconds(1000*u.SlotSeconds))
	}
	for i := range all.Usage {
		u, hour := &all.Usage[i], ""
		if u.Hour != nil {
			hour = hourOf(*u.Hour)
		}
		add(hour, u.Flow, groupName(u.Group), u)
	}
	first, _, _ := strings.Cut(by, ",")
	sum := map[string]string{first: "(sum)"}
	add(sum["hour"], sum["flow"], sum["group"], &all.Sum)
	if !strings.Contains(by, "hour") {
		t = t.without("HOUR")
	}
	if first != "flow" {
		t = t.without("FLOW")
	}
	if !grouped {
		t = t.without("GROUP")
	}
	return t.within(columns, "CACHED", "CHARGED", "SLOT TIME").shortened(columns, "FLOW", 12).shortened(columns, "GROUP", 10)
}

// hourOf is when an hour begins or ends.
func hourOf(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }

// errSpan says that a time cannot be read.
var errSpan = errors.New("it must be a day or a time, such as 2026-11-01 or 2026-11-01T12:00:00Z")

// spanOf is the time that flags say.
func spanOf(last time.Duration, from, to string, now time.Time) (begin, end time.Time, err error) {
	if last <= 0 {
		return begin, end, fmt.Errorf("--last %s: must be a time such as 1h or 7d", duration.Short(last))
	}
	if end = now; to != "" {
		if end, err = momentOf(to); err != nil {
			return begin, end, fmt.Errorf("--to %s: %w", to, err)
		}
	}
	if from == "" {
		return end.Add(-last), end, nil
	}
	if begin, err = momentOf(from); err != nil {
		return begin, end, fmt.Errorf("--from %s: %w", from, err)
	}
	return begin, end, nil
}

// momentOf reads a time, or when a day begins in UTC.
func momentOf(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errSpan
}
