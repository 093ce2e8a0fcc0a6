package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weirflow/weir/internal/demo"
)

// errInterrupted says that a signal ended a command that had more to do.
var errInterrupted = errors.New("interrupted")

func newDemo() *cobra.Command {
	cfg := demo.DefaultConfig()
	var asJSON bool
	var admin string
	cmd := &cobra.Command{
		GroupID: groupRun,
		Use:     "demo",
		Short:   "Run a fleet in this process and show how tenants share a pool",
		Long: `Run replicas, simulated model servers and seven tenants with uneven load in this
process, on loopback, twice: over one shared ledger, and with each replica on
its own and the limit divided. The summary shows both. The console is that of
the fleet; on a terminal the fleet then goes on until Ctrl-C.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			page, err := startPage(admin)
			if err != nil {
				return err
			}
			defer page.close()
			s := &stage{out: cmd.OutOrStdout(), progress: cmd.ErrOrStderr(), asJSON: asJSON, live: !asJSON && isTerminal(os.Stdout), size: func() (int, int) { return sizeOf(os.Stdout) }}
			how := "half of the time the limit is divided"
			if cfg.Chaos {
				how = "with chaos"
			}
			fmt.Fprintf(s.progress, "%s, %s, %v\n%s\nwatch it at %s\n",
				plural(int64(cfg.Replicas), "replica"), plural(int64(cfg.Servers), "model server"), cfg.Duration, how, page.url)
			audience := demo.Audience{Show: s.show, Console: page.show}
			if s.live {
				audience.Measured = func(summary *demo.Summary) {
					s.err = s.end(summary)
					fmt.Fprintf(s.progress, "\nThe fleet goes on at %s until Ctrl-C.\n", page.url)
				}
			}
			summary, err := demo.Run(cmd.Context(), cfg, audience)
			switch {
			case errors.Is(err, context.Canceled) && summary != nil:
				s.clear()
				fmt.Fprintln(s.progress, "Interrupted; what was measured so far:")
				return errors.Join(errInterrupted, s.end(summary))
			case errors.Is(err, context.Canceled):
				return errInterrupted
			case err != nil:
				return fmt.Errorf("demo: %w", err)
			case s.live:
				return s.err // it was told
			}
			return s.end(summary)
		},
	}
	f := cmd.Flags()
	f.IntVar(&cfg.Replicas, "replicas", cfg.Replicas, "replicas that serve at once")
	f.DurationVar(&cfg.Duration, "duration", 30*time.Second, "how long the load runs, half of it each way")
	f.BoolVar(&cfg.Chaos, "chaos", false, "kill and restart a replica, cut the gossip and wipe the store meanwhile, instead of dividing the limit")
	f.StringVar(&cfg.RedisURL, "redis", "", "URL of a Redis for the shared ledger; without it one is embedded")
	f.BoolVar(&asJSON, "json", false, "print the summary as JSON")
	f.StringVar(&admin, "admin", "127.0.0.1:9090", "address of the console")
	return cmd
}

// lineEvery is how often the figures are told where they cannot be drawn over.
const lineEvery = 5 * time.Second

// stage is where a demo's figures are shown.
type stage struct {
	out, progress io.Writer
	asJSON, live  bool
	size          func() (columns, rows int) // of the terminal

	lines int // of the table that is drawn
	told  time.Time
	err   error
}

// show shows the figures so far: as a table that is drawn over on a terminal, and as a
// line now and then elsewhere.
func (s *stage) show(summary *demo.Summary) {
	if s.live {
		columns, rows := s.size()
		var table strings.Builder
		_ = summary.Print(&table, columns)                // to memory
		lines := fitting(table.String(), columns, rows-1) // the cursor stands on the last row
		// Line by line: a terminal may keep among what has scrolled away what is cleared as a whole.
		_, _ = io.WriteString(s.out, s.up()+strings.Join(lines, "\x1b[K\n")+"\x1b[K\n\x1b[J") // the next drawing mends it
		s.lines = len(lines)
		return
	}
	if time.Since(s.told) >= lineEvery {
		s.told = time.Now()
		fmt.Fprintln(s.progress, summary.Line())
	}
}

// up moves the cursor to the begin of the table that was drawn.
func (s *stage) up() string {
	if s.lines == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA", s.lines)
}

// clear takes the table that was drawn off the terminal.
func (s *stage) clear() {
	if s.lines > 0 {
		fmt.Fprint(s.out, s.up()+strings.Repeat("\x1b[K\n", s.lines)+"\x1b[K"+s.up())
		s.lines = 0
	}
}

// end prints the summary.
func (s *stage) end(summary *demo.Summary) error {
	s.clear()
	if s.asJSON {
		e := json.NewEncoder(s.out)
		e.SetIndent("", "  ")
		return e.Encode(summary)
	}
	width, _ := s.size()
	if err := summary.Print(s.out, width); err != nil {
		return err
	}
	if summary.Divided != nil {
		fmt.Fprintln(s.out)
		if err := summary.Divided.Print(s.out, width); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.out, "\n%s\n%s\n", demo.Legend(width), summary.Verdict(width))
	return err
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" }

// sizeOf is how large a terminal is; what is none counts as one of 80 columns and 24 rows.
func sizeOf(f *os.File) (columns, rows int) {
	if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
		return columns, rows
	}
	return 80, 24
}
