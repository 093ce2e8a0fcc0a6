package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// ofPool is the answer about one pool. The name is empty where that is the only one.
type ofPool[T any] struct {
	pool   string
	answer T
	err    error // why there is no answer
}

// pools are clients of each pool of the replica, or of the one that was named. They name the only
// one, too: a replica for several wants it named for what changes something.
func pools(ctx context.Context, c *api.Client) ([]*api.Client, error) {
	if c.Of != "" {
		return []*api.Client{c}, nil
	}
	all, err := c.Pools(ctx)
	if err != nil {
		return nil, err
	}
	if len(all.Pools) == 0 {
		return []*api.Client{c}, nil
	}
	clients := make([]*api.Client, 0, len(all.Pools))
	for i := range all.Pools {
		of := *c
		of.Of = all.Pools[i].Name
		clients = append(clients, &of)
	}
	return clients, nil
}

// each asks about the pool that was named, or about each that the replica has. Of several, one that
// is gone meanwhile is left out and one that fails has its error, unless there is no answer at all.
func each[T any](ctx context.Context, c *api.Client, ask func(context.Context, *api.Client) (T, error)) ([]ofPool[T], error) {
	clients, err := pools(ctx, c)
	if err != nil {
		return nil, err
	}
	var (
		answers      = make([]ofPool[T], 0, len(clients))
		failed, none error
		answered     bool
	)
	for _, of := range clients {
		one := ofPool[T]{pool: of.Of}
		if len(clients) == 1 {
			one.pool = ""
		}
		switch one.answer, one.err = ask(ctx, of); {
		case ctx.Err() != nil && one.err != nil:
			return nil, one.err
		case isNotFound(one.err):
			none = one.err
			continue
		case one.err != nil && failed == nil:
			failed = one.named()
		}
		answered = answered || one.err == nil
		answers = append(answers, one)
	}
	if !answered {
		return nil, cmp.Or(failed, none)
	}
	return answers, nil
}

// isNotFound reports whether a pool is gone, or has nothing of what is asked for.
func isNotFound(err error) bool {
	return errors.Is(err, api.ErrNotFound) || err != nil && exitCode(err) == exitNotFound
}

// named is the error with the pool's name where there are several.
func (a *ofPool[T]) named() error {
	if a.pool == "" || a.err == nil {
		return a.err
	}
	return fmt.Errorf("pool %s: %w", a.pool, a.err)
}

// troubled is the end of a command that has printed its answers: with the code for trouble, if
// there are pools that failed.
func troubled[T any](answers []ofPool[T]) error {
	if slices.ContainsFunc(answers, func(a ofPool[T]) bool { return a.err != nil }) {
		return &exitError{code: exitTrouble}
	}
	return nil
}

// shown prints what each pool answered: for programs the answer, or all of them by their pools'
// names; and for people one below the other. It ends as troubled does.
func shown[T any](cmd *cobra.Command, o *operator, answers []ofPool[T], print func(T)) error {
	switch {
	case o.asJSON && len(answers) == 1 && answers[0].pool == "":
		return printJSON(cmd, answers[0].answer)
	case o.asJSON:
		all, failed := make(map[string]T, len(answers)), make(map[string]string)
		for _, a := range answers {
			if a.err != nil {
				failed[a.pool] = a.err.Error()
				continue
			}
			all[a.pool] = a.answer
		}
		report := map[string]any{"pools": all}
		if len(failed) > 0 {
			report["failed"] = failed
		}
		if err := printJSON(cmd, report); err != nil {
			return err
		}
	default:
		below(cmd.OutOrStdout(), columnsOf(cmd, false), answers, print)
	}
	return troubled(answers)
}

// below prints answers one below the other, each under its pool's name where there are several,
// in lines of so many columns.
func below[T any](out io.Writer, columns int, answers []ofPool[T], print func(T)) {
	for i, a := range answers {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if a.pool != "" {
			fmt.Fprintf(out, "== pool %s\n", plain(a.pool))
		}
		if a.err != nil {
			fmt.Fprintln(out, wrapped(plain("trouble: "+a.err.Error()), columns, "  "))
			continue
		}
		print(a.answer)
	}
}

// listed has a command ask a question of each pool and print the answers.
func listed[T any](cmd *cobra.Command, o *operator, ask func(context.Context, *api.Client) (T, error), print func(T)) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	answers, err := each(cmd.Context(), c, ask)
	if err != nil {
		return explained(c, err)
	}
	return shown(cmd, o, answers, print)
}

// first returns the first answer of those pools that know what is asked for. Where none does, one
// that failed may: it is its error, and else api.ErrNotFound.
func first[T any](ctx context.Context, c *api.Client, ask func(context.Context, *api.Client) (T, error)) (found ofPool[T], err error) {
	clients, err := pools(ctx, c)
	if err != nil {
		return found, err
	}
	var failed, none error
	for _, of := range clients {
		if found.answer, err = ask(ctx, of); len(clients) > 1 {
			found.pool = of.Of
		}
		switch found.err = err; {
		case err == nil:
			return found, nil
		case isNotFound(err):
			none = err
		case failed == nil:
			failed = found.named()
		}
	}
	return ofPool[T]{}, cmp.Or(failed, none)
}
