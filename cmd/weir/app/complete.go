package app

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// completed offers names out of the answers of all pools, or of the one that was named; those that
// do not answer are left out.
func completed[T any](cmd *cobra.Command, o *operator, ask func(context.Context, *api.Client) (T, error), names func(T) []string) ([]string, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	answers, err := each(cmd.Context(), c, ask)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for _, a := range answers {
		if a.err == nil {
			all = append(all, names(a.answer)...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
}

// groups completes the paths of groups that have flows.
func (o *operator) groups(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completed(cmd, o, func(ctx context.Context, c *api.Client) (*api.Shares, error) { return c.Shares(ctx, api.Query{}) }, func(known *api.Shares) (paths []string) {
		for i := range known.Groups {
			if path := known.Groups[i].Group; strings.HasPrefix(path, typed) {
				paths = append(paths, path)
			}
		}
		return paths
	})
}

// flows completes the ids of flows that the fleet knows.
func (o *operator) flows(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	q := api.Query{Flow: typed, Limit: 100}
	return completed(cmd, o, func(ctx context.Context, c *api.Client) (*api.Flows, error) { return c.Flows(ctx, q) }, func(known *api.Flows) (ids []string) {
		for i := range known.Flows {
			ids = append(ids, known.Flows[i].ID)
		}
		return ids
	})
}

// endpoints completes the names of model servers.
func (o *operator) endpoints(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	q := api.Query{Limit: 1000}
	return completed(cmd, o, func(ctx context.Context, c *api.Client) (*api.Endpoints, error) { return c.Endpoints(ctx, q) }, func(known *api.Endpoints) (names []string) {
		for i := range known.Endpoints {
			if name := known.Endpoints[i].Name; strings.HasPrefix(name, typed) {
				names = append(names, name)
			}
		}
		return names
	})
}

// pools completes the names of pools.
func (o *operator) pools(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := c.Pools(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, 0, len(all.Pools))
	for i := range all.Pools {
		names = append(names, all.Pools[i].Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
