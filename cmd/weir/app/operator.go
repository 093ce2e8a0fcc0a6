package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// Exit codes beside 0 and 1, for scripts.
const (
	exitTrouble     = 2 // the fleet has trouble, which was printed
	exitNotFound    = 3 // there is nothing of that name
	exitUnreachable = 4 // no replica answers, or it cannot now
)

// exitError is an error with the code that the process ends by.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap lets errors.Is see what is wrong.
func (e *exitError) Unwrap() error { return e.err }

// exitCode is what a process ends by for an error.
func exitCode(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return 1
}

// Variables of the environment for commands that ask a replica.
const (
	adminVariable = "WEIR_ADMIN"
	tokenVariable = "WEIR_ADMIN_TOKEN"
)

// operator is how a command asks a replica.
type operator struct {
	admin, tokenFile string
	pool             string
	asJSON           bool
}

// add gives a command the flags.
func (o *operator) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.admin, "admin", "", "admin address of any replica: host:port or a URL; or "+adminVariable+", or 127.0.0.1:9090")
	cmd.Flags().StringVar(&o.tokenFile, "admin-token-file", "", "file with the admin token; or the token itself in "+tokenVariable)
	cmd.Flags().StringVar(&o.pool, "pool", "", "the pool that is asked about, where the replica has several; see weir pools")
	must(cmd.RegisterFlagCompletionFunc("pool", o.pools))
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print the answer as JSON")
	must(cmd.RegisterFlagCompletionFunc("admin", cobra.NoFileCompletions))
}

// client is the client for the replica that was named.
func (o *operator) client() (*api.Client, error) {
	token := os.Getenv(tokenVariable)
	if o.tokenFile != "" {
		data, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--admin-token-file: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	return &api.Client{
		Address: cmp.Or(o.admin, os.Getenv(adminVariable), "127.0.0.1:9090"), Token: token, Of: o.pool,
		HTTP: &http.Client{Timeout: 10 * time.Second},
	}, nil
}

// explained adds to an error of a client what to do about it, and the exit code.
func explained(c *api.Client, err error) error {
	var told *exitError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &told):
		return err
	case errors.Is(err, api.ErrToken):
		return fmt.Errorf("%w: give --admin-token-file or %s", err, tokenVariable)
	case errors.Is(err, api.ErrNotFound):
		return &exitError{exitNotFound, err}
	case errors.Is(err, api.ErrUnavailable):
		return &exitError{exitUnreachable, err}
	case errors.Is(err, api.ErrRefused):
		return err
	}
	return &exitError{exitUnreachable, fmt.Errorf("no replica answers at the admin address %s (--admin, %s): %w", c.Address, adminVariable, err)}
}

// printJSON prints an answer for programs.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// table is columns of text. Its first row is the titles.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// String lays the table out.
func (t table) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range t {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, plain(cell))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // to memory
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// within returns the table without those of the optional columns, by their titles and in
// this order, that must go for it to be so wide at most; 0 for any width.
func (t table) within(columns int, optional ...string) table {
	for _, title := range optional {
		if columns <= 0 || t.width() <= columns {
			break
		}
		t = t.without(title)
	}
	return t
}

// without returns the table without a column, by its title.
func (t table) without(title string) table {
	at := slices.Index(t[0], title)
	if at < 0 {
		return t
	}
	narrower := make(table, len(t))
	for i, row := range t {
		narrower[i] = slices.Delete(slices.Clone(row), at, at+1)
	}
	return narrower
}

// width is that of its widest line.
func (t table) width() (width int) {
	for line := range strings.Lines(t.String()) {
		width = max(width, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")))
	}
	return width
}

// columnsOf is how wide tables are to be: as the terminal, 80 where there is none, and 0
// for as wide as they are.
func columnsOf(cmd *cobra.Command, wide bool) int {
	if wide {
		return 0
	}
	return widthOf(cmd.OutOrStdout(), columns)
}

// asLine is the width of an error or a warning that goes to no terminal: it is a line however
// long, as what collects logs takes it.
const asLine = 0

// widthOf is how wide text is to be: as the terminal, or as said where there is none.
func widthOf(out io.Writer, otherwise int) int {
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		width, _ := sizeOf(f)
		return width
	}
	return otherwise
}

// allColumns gives a command the flag by which its tables have all their columns.
func allColumns(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("wide", false, "all columns, however wide the table gets")
}

// plain is a text that moves no cursor: names come from clients.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, text)
}

// missing says which replicas an answer is without.
func missing(f api.Fleet) (lines []string) {
	for _, m := range f.Missing {
		lines = append(lines, fmt.Sprintf("replica %s did not answer, and what it knows is not shown: %s", plain(m.Replica), plain(m.Why)))
	}
	return lines
}

// printed prints lines to where errors go, so that a table can be piped.
func printed(cmd *cobra.Command, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(cmd.ErrOrStderr(), wrapped(line, widthOf(cmd.ErrOrStderr(), asLine), "  "))
	}
}

// Figures as people read them.

func milliseconds(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d <= 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func perSecond(n float64) string { return fmt.Sprintf("%.1f", n) }

func percent(part float64) string { return fmt.Sprintf("%.0f%%", 100*part) }

func limited(limit *int64) string {
	if limit == nil {
		return "no limit"
	}
	return fmt.Sprint(*limit)
}
