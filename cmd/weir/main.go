// Command weir is a distributed flow controller for LLM inference gateways.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	goredis.SetLogger(silent{}) // a lost connection is logged once, as a change of the ledger's state
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "A distributed flow controller for LLM inference gateways",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDemo(), newServe(), newConfig(), newModelServer())
	return root
}

// silent is a logger that says nothing.
type silent struct{}

// Printf implements the Redis client's logger.
func (silent) Printf(context.Context, string, ...any) {}
