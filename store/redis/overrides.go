package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

//go:embed overrides.lua
var overridesText string

var overridesScript = goredis.NewScript(overridesText)

// overridesKey holds the overrides, beside the ledger's formats.
func (l *Ledger) overridesKey() string { return l.root + ":overrides" }

// Overrides implements [store.Overriding].
func (l *Ledger) Overrides(ctx context.Context, put ...store.Override) ([]store.Override, error) {
	now := ""
	if l.cfg.Clock != nil {
		now = strconv.FormatInt(l.cfg.Clock().UnixMilli(), 10)
	}
	args := []any{now, store.MaxOverrides}
	for _, o := range put {
		if len(o.Name)+len(o.Value) > store.MaxOverride {
			return nil, store.ErrOverrides
		}
		args = append(args, o.Name, o.Revision, o.Left.Milliseconds(), o.Value)
	}
	answer, err := overridesScript.Run(ctx, l.client, []string{l.overridesKey()}, args...).StringSlice()
	if goredis.HasErrorPrefix(err, "FULL") {
		return nil, store.ErrOverrides
	}
	if err != nil {
		return nil, fmt.Errorf("%w: its overrides: %w", store.ErrUnavailable, err)
	}
	all := make([]store.Override, 0, len(answer)/4)
	for i := 0; i+3 < len(answer); i += 4 {
		revision, err := strconv.ParseUint(answer[i+1], 10, 64)
		left, wrong := strconv.ParseInt(answer[i+2], 10, 64)
		if err == nil && wrong == nil {
			all = append(all, store.Override{Name: answer[i], Revision: revision, Left: time.Duration(left) * time.Millisecond, Value: answer[i+3]})
		}
	}
	return all, nil
}
