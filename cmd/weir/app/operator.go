package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// Exit codes beside 0 and 1, for scripts.
const (
	exitTrouble     = 2 // the fleet has trouble, or one of several pools, which was printed
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
	var asked *url.Error
	if errors.As(err, &asked) { // whose address is named once
		err = asked.Err
	}
	return &exitError{exitUnreachable, fmt.Errorf("no replica answers at the admin address %s (--admin, %s): %w", c.Address, adminVariable, err)}
}

// printJSON prints an answer for programs.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
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
