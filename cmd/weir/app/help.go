package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// columns is how wide help is at most.
const columns = 80

// groupOf is the annotation of a flag with the title that help shows it under.
const groupOf = "group"

// help prints what a command is for, and its usage.
func help(cmd *cobra.Command, _ []string) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", wrapped(strings.TrimSpace(text)), cmd.UsageString())
}

// usage prints how a command is called, its commands and its flags by what they are about.
func usage(cmd *cobra.Command) error {
	var out strings.Builder
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&out, "Usage:\n  %s COMMAND\n", cmd.CommandPath())
		for _, group := range cmd.Groups() {
			printCommands(&out, cmd, group.Title, group.ID)
		}
		title := "Commands"
		if len(cmd.Groups()) > 0 {
			title = "Other commands"
		}
		printCommands(&out, cmd, title, "")
	} else {
		fmt.Fprintf(&out, "Usage:\n  %s\n", cmd.UseLine())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&out, "\nExamples:\n%s\n", cmd.Example)
	}
	printFlags(&out, cmd)
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&out, "\nMore on each: %s COMMAND --help\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), out.String())
	return err
}

// printCommands prints the commands of a group under a title.
func printCommands(out *strings.Builder, cmd *cobra.Command, title, group string) {
	fmt.Fprintf(out, "\n%s:\n", title)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.GroupID == group {
			fmt.Fprintf(out, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
}

// printFlags prints the flags under the titles of their groups, those of none last.
func printFlags(out *strings.Builder, cmd *cobra.Command) {
	groups := make(map[string]*pflag.FlagSet)
	var titles []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		title := strings.Join(f.Annotations[groupOf], "")
		if groups[title] == nil {
			groups[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
			groups[title].SortFlags = false
			if title != "" {
				titles = append(titles, title)
			}
		}
		groups[title].AddFlag(f)
	})
	for _, title := range titles {
		fmt.Fprintf(out, "\n%s:\n%s", title, groups[title].FlagUsagesWrapped(columns))
	}
	if rest := groups[""]; rest != nil {
		name := "Flags"
		if len(titles) > 0 {
			name = "Other flags"
		}
		fmt.Fprintf(out, "\n%s:\n%s", name, rest.FlagUsagesWrapped(columns))
	}
}

// wrapped breaks the lines that are too wide.
func wrapped(text string) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		for len(line) > columns {
			at := strings.LastIndexByte(line[:columns+1], ' ')
			if at < 1 {
				break
			}
			lines, line = append(lines, line[:at]), line[at+1:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
