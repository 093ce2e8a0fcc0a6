package app

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

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
