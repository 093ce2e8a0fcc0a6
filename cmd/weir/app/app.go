// Package app is the command line of Weir. The binary is Main with the plug-ins
// that come with Weir; a program that imports this package, registers plug-ins of
// its own and calls Main is the same binary with them:
//
//	func main() {
//		registry := builtin.Registry()
//		if err := registry.Register("my-policy", policies.WithoutParameters(newPolicy)); err != nil {
//			log.Fatal(err)
//		}
//		app.Main(registry)
//	}
//
// Their types can then be named wherever a configuration file or a flag names a
// plug-in.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/build"
	"github.com/weirflow/weir/internal/hangup"
	"github.com/weirflow/weir/policies"
)

// Main runs the command line that the process was started with, with the plug-in
// types of the registry, until it is done or a signal ends it; then it ends the
// process. It takes the registry over: register everything before.
func Main(registry *policies.Registry) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	goredis.SetLogger(silent{}) // a lost connection is logged once, as a change of the ledger's state
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // what matters of streams and pickers Weir logs itself
	}
	root := newRoot(registry)
	if cmd, _, err := root.Find(os.Args[1:]); err != nil || cmd.Name() != serveName {
		hangup.Reset() // there is no configuration to read again
	}
	err := root.ExecuteContext(ctx)
	stop()
	if errors.Is(err, errInterrupted) {
		os.Exit(130) // as shells say of a command that Ctrl-C ended
	}
	if err != nil {
		if text := err.Error(); text != "" {
			complain(wrapped(explain(err), widthOf(os.Stderr, asLine), "  "))
		}
		os.Exit(exitCode(err))
	}
	os.Exit(0)
}

// complain writes to stderr, for no longer than a while: it may be a pipe that nobody reads.
func complain(text string) {
	said := make(chan struct{})
	go func() {
		fmt.Fprintln(os.Stderr, text)
		close(said)
	}()
	select {
	case <-said:
	case <-time.After(2 * time.Second):
	}
}

// explain is what a user reads of an error.
func explain(err error) string {
	var problems config.Problems
	if errors.As(err, &problems) && len(problems) > 1 {
		return fmt.Sprintf("weir: %d things are wrong:\n%v", len(problems), err)
	}
	return fmt.Sprintf("weir: %v", err)
}

func newRoot(registry *policies.Registry) *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "A distributed flow controller for LLM inference gateways",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       build.Read().Version,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run Weir"},
		&cobra.Group{ID: groupLook, Title: "Look at a running fleet (--admin, " + adminVariable + ")"},
		&cobra.Group{ID: groupAct, Title: "Change a running fleet, with its admin token (" + tokenVariable + ")"},
	)
	root.AddCommand(newServe(registry), newConfig(registry), newAdopt(registry), newKeys(), newDemo(), newModelServer())
	root.AddCommand(newStatus(), newTop(), newFlows(), newRequests(), newEndpoints(), newPools(), newWhy(), newShadow(), newOverrides(), newUsage(), newVersion())
	root.AddCommand(newSet(), newUnset(), newEvict())
	root.SetHelpFunc(help)
	root.SetUsageFunc(usage)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	strict(root)
	root.SetVersionTemplate(versionLine(build.Read()) + "\n")
	return root
}

// The groups in which help lists the commands.
const (
	groupRun  = "run"
	groupLook = "look"
	groupAct  = "act"
)

// silent is a logger that says nothing.
type silent struct{}

// Printf implements the Redis client's logger.
func (silent) Printf(context.Context, string, ...any) {}
