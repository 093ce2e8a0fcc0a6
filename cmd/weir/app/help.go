package app

import (
	"fmt"
	"strings"
	"unicode/utf8"

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
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", wrapped(strings.TrimSpace(text), columns, ""), cmd.UsageString())
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

// wrapped breaks lines that are wider than there are columns, between words; 0 for any width.
// What goes on is indented.
func wrapped(text string, columns int, indent string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for columns > 0 && utf8.RuneCountInString(line) > columns {
			room := string([]rune(line)[:columns+1])
			at := strings.LastIndexByte(room, ' ')
			if at <= len(indent) { // a word that is too long, such as a file's name
				if at = strings.IndexByte(line[min(len(indent)+1, len(line)):], ' '); at < 0 {
					break
				}
				at += len(indent) + 1
			}
			lines, line = append(lines, line[:at]), indent+line[at+1:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
