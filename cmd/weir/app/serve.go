package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirflow/weir/internal/suggest"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/replica"
)

// serveFlags are the flags of weir serve.
type serveFlags struct {
	*settings
	logLevel, logFormat string
}

func newServe(registry *policies.Registry) *cobra.Command {
	f := serveFlags{settings: newSettings(registry)}
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     "serve",
		Short:   "Run a replica in front of model servers",
		Long: `Run a replica in front of model servers, as a configuration file says, as flags
say, or both: a flag that is given overrides the file. The file is read again on
SIGHUP and when it changes.`,
		Example: `  weir modelserver --listen 127.0.0.1:8000
  weir serve --upstream http://127.0.0.1:8000 --max-concurrency 8
  weir serve --config weir.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q: weir serve takes flags only; a configuration file is given by --config", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return f.serve(cmd.Context()) },
	}
	f.add(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.file, "config", "", "configuration file: an EndpointPickerConfig; see weir config")
	must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	must(cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(logLevels, cobra.ShellCompDirectiveNoFileComp)))
	fs.StringVar(&f.logFormat, "log-format", "console", "console or json")
	must(cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions(logFormats, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (f *serveFlags) serve(ctx context.Context) error {
	log, err := newLogger(f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	defer log.Sync() //nolint:errcheck // stderr may not support it
	return replica.Run(ctx, f.load, log)
}

// flagError names what was typed and what may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1:
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		typed := unknown.GetSpecifiedName()
		if meant := suggest.Closest(typed, names); meant != "" {
			return fmt.Errorf("--%s: no such flag; did you mean --%s?", typed, meant)
		}
		return fmt.Errorf("--%s: no such flag; see %s --help", typed, cmd.CommandPath())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %q: must be %s", invalid.GetFlag().Name, invalid.GetValue(), kindOf(invalid.GetFlag()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s: give its value, too; see %s --help", missing.GetSpecifiedName(), cmd.CommandPath())
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// kindOf says what a flag takes.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "a whole number"
	case "duration":
		return "a time with its unit, such as 60s or 250ms"
	case "bool":
		return "true or false"
	}
	return "a " + f.Value.Type()
}
