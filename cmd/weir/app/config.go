package app

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
)

func newConfig(registry *policies.Registry) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check and print configuration files"}
	cmd.AddCommand(
		&cobra.Command{
			Use: "check FILE", Short: "Say everything that is wrong with a file", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				_, err := checked(cmd, registry, args[0])
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), args[0]+" is good")
				}
				return err
			},
		},
		&cobra.Command{
			Use: "print FILE", Short: "Print the effective configuration, with defaults", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				plan, err := checked(cmd, registry, args[0])
				if err != nil {
					return err
				}
				text, err := plan.Print()
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(text)
				return err
			},
		},
		&cobra.Command{
			Use: "schema", Short: "Print the JSON schema, for editors", Args: cobra.NoArgs,
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

// checked reads a file and prints its warnings.
func checked(cmd *cobra.Command, registry *policies.Registry, file string) (*config.Plan, error) {
	plan, warnings, err := config.Load(file, registry, nil)
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning: "+w.String())
	}
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", file, err)
	}
	return plan, nil
}
