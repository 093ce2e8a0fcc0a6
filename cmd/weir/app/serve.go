package app

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/replica"
)

// serveFlags are the flags of weir serve.
type serveFlags struct {
	*settings
	logLevel, logFormat string
}

// serveName is the name of the command that runs a replica.
const serveName = "serve"

func newServe(registry *policies.Registry) *cobra.Command {
	f := serveFlags{settings: newSettings(registry)}
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     serveName,
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
	defer log.Sync() //nolint:errcheck // it never fails
	// Whoever reads the log or the request log may go: that is an error of the write, and does not
	// end the process, as it would for standard output and error.
	signal.Ignore(syscall.SIGPIPE)
	return replica.Run(ctx, f.load, log)
}
