package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/weirflow/weir/gateway/admin/api"
)

func newTop() *cobra.Command {
	var (
		o     operator
		every time.Duration
		once  bool
	)
	cmd := &cobra.Command{
		Use: "top", Short: "Show the same as status, and the tenants, again and again",
		Long:    "Shows the pool, its priorities, its replicas, what is wrong and the tenants that wait most, drawn anew at an interval; q or Ctrl-C ends it. Where the output is no terminal it is printed once.",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.client()
			if err != nil {
				return err
			}
			if every < 100*time.Millisecond {
				return fmt.Errorf("--every %v: must be at least 100ms", every)
			}
			out, live := cmd.OutOrStdout().(*os.File)
			if once || o.asJSON || !live || !isTerminal(out) {
				return listed(cmd, &o, topScreen, func(v *topView) { v.print(cmd.OutOrStdout(), columnsOf(cmd, false)) })
			}
			return topLive(cmd.Context(), out, c, every)
		},
	}
	o.add(cmd)
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often it is drawn")
	cmd.Flags().BoolVar(&once, "once", false, "print it once and end")
	return cmd
}

// topView is what weir top shows, and its JSON.
type topView struct {
	*overview
	Flows []api.Flow `json:"flows"`
}

// topScreen asks for all that weir top shows.
func topScreen(ctx context.Context, c *api.Client) (*topView, error) {
	v, err := look(ctx, c)
	if err != nil {
		return nil, err
	}
	flows, err := c.Flows(ctx, api.Query{Sort: "-queued", Limit: 50})
	if err != nil {
		return nil, err
	}
	return &topView{v, flows.Flows}, nil
}

func (v *topView) print(out io.Writer, columns int) {
	v.overview.print(out, columns)
	if len(v.Flows) > 0 {
		fmt.Fprintf(out, "\n%s", flowTable(v.Flows, columns))
	}
}

// topLive draws until q is pressed or ctx ends. It leaves the terminal as it was.
func topLive(ctx context.Context, out *os.File, c *api.Client, every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if before, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
		defer func() { _ = term.Restore(int(os.Stdin.Fd()), before) }() // nothing to be done about it
		go func() {                                                     // ends with the process
			for key := []byte{0}; ; {
				if _, err := os.Stdin.Read(key); err != nil || key[0] == 'q' || key[0] == 3 { // Ctrl-C
					cancel()
					return
				}
			}
		}()
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l")       // another screen, no cursor
	defer fmt.Fprint(out, "\x1b[?25h\x1b[?1049l") // and back
	for ticks := time.NewTicker(every); ; {
		var text bytes.Buffer
		if views, err := each(ctx, c, topScreen); err == nil {
			columns, _ := sizeOf(out)
			below(&text, columns, views, func(v *topView) { v.print(&text, columns) })
		} else if ctx.Err() == nil {
			fmt.Fprintln(&text, explained(c, err))
		}
		if ctx.Err() == nil {
			columns, rows := sizeOf(out)
			_, _ = io.WriteString(out, screenOf(text.String(), columns, rows)) // the next drawing mends it
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			ticks.Stop()
			return nil
		}
	}
}

// screenOf is a text as it fills a terminal.
func screenOf(text string, columns, rows int) string {
	return "\x1b[H" + strings.Join(fitting(text, columns, rows), "\x1b[K\r\n") + "\x1b[K\x1b[J"
}

// fitting is the lines of a text as they fit: what does not is left out, so that no line
// wraps and nothing scrolls.
func fitting(text string, columns, rows int) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[:min(len(lines), max(rows, 1))]
	for i, line := range lines {
		cut := []rune(line)
		lines[i] = string(cut[:min(len(cut), columns)])
	}
	return lines
}
