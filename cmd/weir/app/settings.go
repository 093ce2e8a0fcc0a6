package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
)

// settings are a configuration file and the flags that override it.
type settings struct {
	registry *policies.Registry
	file     string
	flags    map[string][]string // those that were given, by name
	groups   []*pflag.FlagSet
	titles   []string
}

func newSettings(registry *policies.Registry) *settings {
	return &settings{registry: registry, flags: make(map[string][]string)}
}

// load reads the file, if there is one, and puts the flags over it.
func (s *settings) load() (*config.Plan, config.Problems, error) {
	plan, warnings, err := config.Load(s.file, config.Options{Registry: s.registry, Flags: s.flags, FileFlag: "--config"})
	if err != nil {
		return nil, nil, err
	}
	if w := &plan.File.Weir; w.Replica == "" {
		w.Replica = defaultReplica()
	}
	return plan, warnings, nil
}

// defaultReplica is the host's name and the process's number.
func defaultReplica() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "weir"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}

// add gives a command the flags that there are for the configuration.
func (s *settings) add(cmd *cobra.Command) {
	for _, f := range config.Flags() {
		fs := s.group(f.Group)
		usage := lowerFirst(f.Doc)
		if f.Repeated {
			usage += "; may be repeated"
		}
		flag := fs.VarPF(&setting{s, f}, f.Name, "", usage)
		flag.DefValue = f.Default
		if f.Takes == "name" || f.Takes == "prefix" { // any word, such as default
			flag.DefValue = quoted(f.Default)
		}
		if f.Takes == "bool" {
			flag.NoOptDefVal = "true"
		}
		if f.Takes == "file" {
			flag.Annotations = map[string][]string{cobra.BashCompFilenameExt: {}}
		}
		cmd.Flags().AddFlag(flag)
		values := f.Values(s.registry)
		if values == nil && f.Takes == "file" {
			continue // the shell's own completion of file names
		}
		must(cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
	}
}

// group returns the flags of a title, for help.
func (s *settings) group(title string) *pflag.FlagSet {
	for i, t := range s.titles {
		if t == title {
			return s.groups[i]
		}
	}
	fs := pflag.NewFlagSet(title, pflag.ContinueOnError)
	fs.SortFlags = false
	s.groups, s.titles = append(s.groups, fs), append(s.titles, title)
	return fs
}

// usage prints a command's flags by what they are about, for a terminal of 80 columns.
func (s *settings) usage(cmd *cobra.Command) error {
	out := cmd.OutOrStderr()
	fmt.Fprintf(out, "Usage:\n  %s\n", cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	grouped := make(map[string]bool)
	for i, fs := range s.groups {
		fs.VisitAll(func(f *pflag.Flag) { grouped[f.Name] = true })
		fmt.Fprintf(out, "\n%s:\n%s", s.titles[i], fs.FlagUsagesWrapped(80))
	}
	rest := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !grouped[f.Name] {
			rest.AddFlag(f)
		}
	})
	_, err := fmt.Fprintf(out, "\nOther flags:\n%s", rest.FlagUsagesWrapped(80))
	return err
}

// setting is a flag whose value the configuration understands and checks.
type setting struct {
	all *settings
	config.Flag
}

// Set implements pflag.Value.
func (v *setting) Set(text string) error {
	v.all.flags[v.Name] = append(v.all.flags[v.Name], text)
	return nil
}

// String implements pflag.Value.
func (v *setting) String() string {
	if v.all == nil {
		return ""
	}
	return strings.Join(v.all.flags[v.Name], ",")
}

// Type implements pflag.Value: what help calls the value.
func (v *setting) Type() string { return v.Takes }

func lowerFirst(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if second, _ := utf8.DecodeRuneInString(text[size:]); unicode.IsUpper(second) {
		return text // such as URL
	}
	return string(unicode.ToLower(first)) + text[size:]
}

// quoted is a default as help shows it; empty for none.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(text)
}

func must(err error) {
	if err != nil {
		panic(err) // a flag that this package itself has named wrongly
	}
}
