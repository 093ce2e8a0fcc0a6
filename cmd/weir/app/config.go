package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
)

func newConfig(registry *policies.Registry) *cobra.Command {
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     "config", Short: "Check and print configuration files",
	}
	cmd.AddCommand(
		newChecked(registry, "check FILE", "Say everything that is wrong with a file", func(cmd *cobra.Command, file string, _ *config.Plan) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), file+" is good")
			return err
		}),
		newChecked(registry, "print FILE", "Print the effective configuration, with defaults", func(cmd *cobra.Command, _ string, plan *config.Plan) error {
			text, err := plan.Print()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		}),
		&cobra.Command{
			Use: "schema", Short: "Print the JSON schema, for editors",
			RunE: func(cmd *cobra.Command, _ []string) error {
				schema, err := config.Schema()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", schema)
				return err
			},
		},
	)
	return cmd
}

// oneFile says that one file is wanted, and not so many.
func oneFile(given int) string {
	if given == 0 {
		return "name a file"
	}
	return fmt.Sprintf("%d files are given; name one", given)
}

// newChecked is a command that reads a file as weir serve does, prints its warnings and
// does something with it.
func newChecked(registry *policies.Registry, use, short string, then func(cmd *cobra.Command, file string, plan *config.Plan) error) *cobra.Command {
	s := newSettings(registry)
	var ignoreFiles bool
	cmd := &cobra.Command{
		Use: use, Short: short,
		Long: short + `. The flags of weir serve that
override a file may be given, too, and are checked with it.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s: weir config %s", oneFile(len(args)), use)
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan, warnings, err := config.Load(args[0], config.Options{Registry: registry, Flags: s.flags, IgnoreFiles: ignoreFiles, Unlocated: true})
			for _, w := range warnings {
				printed(cmd, []string{"warning: " + w.String()})
			}
			if err != nil {
				return err
			}
			return then(cmd, args[0], plan)
		},
	}
	s.add(cmd)
	cmd.Flags().BoolVar(&ignoreFiles, "ignore-files", false, "do not look at the files that it names: keys, certificates, endpoints")
	return cmd
}
