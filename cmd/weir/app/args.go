package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/internal/suggest"
)

// strict has a command, and those below it, refuse what it does not take and say what was
// meant. Those that check their arguments themselves go on to.
func strict(cmd *cobra.Command) {
	switch {
	case cmd.HasSubCommands():
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return noCommand(cmd, args[0])
			}
			return nil
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, c := range cmd.Commands() {
			strict(c)
		}
	case cmd.Name() == "help":
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				return noCommand(found, rest[0])
			}
			return err
		}
	case cmd.Args == nil || cmd.HasParent() && cmd.Parent().Name() == "completion":
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%s %s: it takes flags only; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return nil
		}
	}
}

// noCommand says what was meant by a command that there is not.
func noCommand(cmd *cobra.Command, typed string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	path := cmd.CommandPath()
	if meant := suggest.Closest(typed, names); meant != "" {
		return fmt.Errorf("%s %s: no such command; did you mean %s %s?", path, typed, path, meant)
	}
	return fmt.Errorf("%s %s: no such command; there are: %s", path, typed, strings.Join(names, ", "))
}
