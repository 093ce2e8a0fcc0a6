package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirflow/weir/gateway/admin/api"
)

// ofPool is the answer about one pool. The name is empty where that is the only one.
type ofPool[T any] struct {
	pool   string
	answer T
}

// pools are clients of each pool of the replica, or of the one that was named.
func pools(ctx context.Context, c *api.Client) ([]*api.Client, error) {
	if c.Of != "" {
		return []*api.Client{c}, nil
	}
	all, err := c.Pools(ctx)
	if err != nil {
		return nil, err
	}
	if len(all.Pools) < 2 {
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

// each asks about the pool that was named, or about each that the replica has.
func each[T any](ctx context.Context, c *api.Client, ask func(context.Context, *api.Client) (T, error)) ([]ofPool[T], error) {
	clients, err := pools(ctx, c)
	if err != nil {
		return nil, err
	}
	answers := make([]ofPool[T], 0, len(clients))
	for _, of := range clients {
		a, err := ask(ctx, of)
		if err != nil {
			return nil, err
		}
		one := ofPool[T]{answer: a}
		if len(clients) > 1 {
			one.pool = of.Of
		}
		answers = append(answers, one)
	}
	return answers, nil
}

// shown prints what each pool answered: for programs the answer, or all of them by their pools'
// names; and for people one below the other.
func shown[T any](cmd *cobra.Command, o *operator, answers []ofPool[T], print func(T)) error {
	switch {
	case o.asJSON && len(answers) == 1:
		return printJSON(cmd, answers[0].answer)
	case o.asJSON:
		all := make(map[string]T, len(answers))
		for _, a := range answers {
			all[a.pool] = a.answer
		}
		return printJSON(cmd, map[string]any{"pools": all})
	}
	below(cmd.OutOrStdout(), answers, print)
	return nil
}

// below prints answers one below the other, each under its pool's name where there are several.
func below[T any](out io.Writer, answers []ofPool[T], print func(T)) {
	for i, a := range answers {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if a.pool != "" {
			fmt.Fprintf(out, "== pool %s\n", plain(a.pool))
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

// first returns the first answer of those pools that know what is asked for, and the last's
// error where none does.
func first[T any](ctx context.Context, c *api.Client, ask func(context.Context, *api.Client) (T, error)) (answer T, err error) {
	clients, err := pools(ctx, c)
	if err != nil {
		return answer, err
	}
	for _, of := range clients {
		if answer, err = ask(ctx, of); !errors.Is(err, api.ErrNotFound) {
			break
		}
	}
	return answer, err
}
