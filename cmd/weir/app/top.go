package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
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
		Long:    "Shows the pool, its priorities, its replicas, what is wrong and the tenants that wait most, drawn anew at an interval. What a terminal has no room for is reached by the arrow and page keys; q or Ctrl-C ends it. Where the output is no terminal it is printed once.",
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

// print prints what may have to be acted on before what explains it, as a terminal shows the begin.
func (v *topView) print(out io.Writer, columns int) {
	v.printPool(out, columns)
	told(out, "Trouble", v.Trouble, columns)
	v.printBands(out, columns)
	if len(v.Flows) > 0 {
		fmt.Fprintf(out, "\n%s", flowTable(v.Flows, columns))
	}
	told(out, "Tenants that wait", v.Tenants, columns)
	v.printShares(out, columns)
	v.printGroups(out, columns)
	v.printReplicas(out, columns)
}

// topLive draws until q is pressed or ctx ends. It leaves the terminal as it was.
func topLive(ctx context.Context, out *os.File, c *api.Client, every time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keys := make(chan string)
	if before, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
		defer func() { _ = term.Restore(int(os.Stdin.Fd()), before) }() // nothing to be done about it
		go typed(ctx, os.Stdin, keys)                                   // ends with the process
	}
	fmt.Fprint(out, "\x1b[?1049h\x1b[?25l")       // another screen, no cursor
	defer fmt.Fprint(out, "\x1b[?25h\x1b[?1049l") // and back
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for s, stale := (screen{}), true; ; {
		columns, rows := sizeOf(out)
		if stale {
			var text bytes.Buffer
			if views, err := each(ctx, c, topScreen); err == nil {
				below(&text, columns, views, func(v *topView) { v.print(&text, columns) })
			} else if ctx.Err() == nil {
				fmt.Fprintln(&text, explained(c, err))
			}
			s.text = text.String()
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ends as it should
		}
		_, _ = io.WriteString(out, s.draw(columns, rows)) // the next drawing mends it
		select {
		case <-ticks.C:
			stale = true
		case key := <-keys:
			if stale = false; key == "q" || key == ctrlC {
				return nil
			}
			s.press(key, rows)
		case <-ctx.Done():
			return nil
		}
	}
}
