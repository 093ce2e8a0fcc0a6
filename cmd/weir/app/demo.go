package app

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/internal/demo"
)

func newDemo() *cobra.Command {
	cfg := demo.DefaultConfig()
	var asJSON bool
	var admin string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a fleet in this process and show how tenants share a pool",
		Long: `Run replicas, simulated model servers and seven tenants with uneven load in this
process, on loopback, twice: over one shared ledger, and with each replica on
its own and the limit divided. The summary shows both.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			page, err := startPage(admin)
			if err != nil {
				return err
			}
			defer page.close()
			out, progress := cmd.OutOrStdout(), cmd.ErrOrStderr()
			live := !asJSON && isTerminal(os.Stdout)
			how := "half of it with the limit divided"
			if cfg.Chaos {
				how = "with chaos"
			}
			fmt.Fprintf(progress, "%d replicas and %d model servers for %v, %s\nwatch it at %s\n",
				cfg.Replicas, cfg.Servers, cfg.Duration, how, page.url)
			lines := 0
			summary, err := demo.Run(cmd.Context(), cfg, func(s *demo.Summary) {
				page.show(s)
				if live {
					lines = redraw(out, s, lines)
				}
			})
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			page.show(summary)
			if live {
				fmt.Fprintf(out, "\x1b[%dA\x1b[J", lines)
			}
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(summary)
			}
			if err := summary.Print(out); err != nil {
				return err
			}
			if summary.Divided == nil {
				return nil
			}
			fmt.Fprintln(out)
			return summary.Divided.Print(out)
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Replicas, "replicas", cfg.Replicas, "replicas that serve at once")
	f.DurationVar(&cfg.Duration, "duration", 30*time.Second, "how long the load runs, half of it each way")
	f.BoolVar(&cfg.Chaos, "chaos", false, "kill and restart a replica, cut the gossip and wipe the store meanwhile, instead of dividing the limit")
	f.StringVar(&cfg.RedisURL, "redis", "", "URL of a Redis for the shared ledger; without it one is embedded")
	f.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	f.StringVar(&admin, "admin", "127.0.0.1:9090", "address of the live page")
	return cmd
}

// redraw replaces the table of the given number of lines by a new one.
func redraw(out io.Writer, s *demo.Summary, lines int) int {
	counted := &lineCounter{Writer: out}
	if lines > 0 {
		fmt.Fprintf(out, "\x1b[%dA\x1b[J", lines)
	}
	_ = s.Print(counted) // to a terminal
	return counted.lines
}

// lineCounter counts the lines written through it.
type lineCounter struct {
	io.Writer
	lines int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.lines++
		}
	}
	return c.Writer.Write(p)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
