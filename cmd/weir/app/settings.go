package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/policies"
)

// settings are a configuration file and the flags that override it.
type settings struct {
	registry *policies.Registry
	file     string
	flags    map[string][]string // those that were given, by name
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
	if plan.File.Weir.Replica == "" {
		plan.SetReplica(defaultReplica())
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
	cmd.Flags().SortFlags = false // their groups come as the configuration has them
	for _, f := range config.Flags() {
		usage := lowerFirst(f.Doc)
		if f.Repeated {
			usage += "; may be repeated"
		}
		flag := cmd.Flags().VarPF(&setting{s, f}, f.Name, "", usage)
		flag.Annotations = map[string][]string{groupOf: {f.Group}}
		flag.DefValue = f.Default
		if f.Takes == "name" || f.Takes == "prefix" { // any word, such as default
			flag.DefValue = quoted(f.Default)
		}
		if f.Takes == "bool" {
			flag.NoOptDefVal = "true"
		}
		if f.Takes == "file" {
			flag.Annotations[cobra.BashCompFilenameExt] = []string{}
		}
		values := f.Values(s.registry)
		if values == nil && f.Takes == "file" {
			continue // the shell's own completion of file names
		}
		must(cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
	}
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
