package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/serving"
	"github.com/weirflow/weir/internal/modelserver"
)

func newModelServer() *cobra.Command {
	cfg := modelserver.DefaultConfig()
	var listen string
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     "modelserver",
		Short:   "Run a simulated model server (OpenAI API, an engine's metrics)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := modelserver.New(cfg)
			if err != nil {
				return err
			}
			l, err := serving.Listen(fmt.Sprintf("--listen %q", listen), listen)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "model server %q at http://%s\n", cfg.Model, l.Addr())
			return serving.Until(cmd.Context(), 5*time.Second, &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}, l,
				func(context.Context) error { return nil })
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:8000", "address to serve on")
	f.StringVar(&cfg.Model, "model", cfg.Model, "name of the model")
	f.StringVar(&cfg.Engine, "engine", cfg.Engine, "whose names its metrics have: "+strings.Join(modelserver.Engines(), ", "))
	must(cmd.RegisterFlagCompletionFunc("engine", cobra.FixedCompletions(modelserver.Engines(), cobra.ShellCompDirectiveNoFileComp)))
	f.IntVar(&cfg.MaxRunning, "max-running", cfg.MaxRunning, "sequences in a batch")
	f.DurationVar(&cfg.Step, "step", cfg.Step, "time of a step with an empty batch; each step makes a token a sequence")
	f.DurationVar(&cfg.StepPerSequence, "step-per-sequence", cfg.StepPerSequence, "what each sequence adds to a step")
	f.DurationVar(&cfg.PrefillPerToken, "prefill-per-token", cfg.PrefillPerToken, "what each prompt token adds to its first step")
	f.IntVar(&cfg.CacheTokens, "cache-tokens", cfg.CacheTokens, "tokens the KV cache holds")
	f.IntVar(&cfg.OutputTokens, "output-tokens", cfg.OutputTokens, "length of an answer whose request sets no maximum")
	return cmd
}
