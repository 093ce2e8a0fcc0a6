package redis

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/weirflow/weir/store"
)

//go:embed usage.lua
var usageText string

var usageScript = goredis.NewScript(usageText)

// usageKey holds what flows used in an hour, beside the ledger's formats.
func (l *Ledger) usageKey(hour int64) string {
	return l.root + ":usage:" + strconv.FormatInt(hour, 10)
}

// AddUsage implements [store.Metering].
func (l *Ledger) AddUsage(ctx context.Context, b *store.UsageBatch) error {
	args := append(make([]any, 0, 5+7*len(b.Flows)), (store.UsageKept + time.Hour).Milliseconds(), store.MaxUsageFlows, store.OtherFlows, b.Writer, b.Number)
	for i := range b.Flows {
		u := &b.Flows[i]
		args = append(args, u.Flow, u.Requests, u.TokensIn, u.TokensCached, u.TokensOut, u.Charged, u.Held.Milliseconds())
	}
	if err := usageScript.Run(ctx, l.client, []string{l.usageKey(b.Hour.Unix())}, args...).Err(); err != nil {
		return fmt.Errorf("%w: add to what was used: %w", store.ErrUnavailable, err)
	}
	return nil
}

// hoursAtOnce is how many hours are asked for at once.
const hoursAtOnce = 24

// Usage implements [store.Metering]. What cannot be read is left out.
func (l *Ledger) Usage(ctx context.Context, from, to time.Time, visit func(time.Time, store.Usage)) error {
	first := from.Add(time.Hour - 1).Truncate(time.Hour)
	for hour := first; hour.Before(to); hour = hour.Add(hoursAtOnce * time.Hour) {
		var answers []*goredis.MapStringStringCmd
		_, err := l.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for at := hour; at.Before(to) && len(answers) < hoursAtOnce; at = at.Add(time.Hour) {
				answers = append(answers, p.HGetAll(ctx, l.usageKey(at.Unix())))
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w: what was used: %w", store.ErrUnavailable, err)
		}
		for i, a := range answers {
			for field, text := range a.Val() {
				if u, ok := usageOf(field, text); ok {
					visit(hour.Add(time.Duration(i)*time.Hour).UTC(), u)
				}
			}
		}
	}
	return nil
}

// usageOf reads what is kept under a field of an hour.
func usageOf(field, text string) (u store.Usage, ok bool) {
	figures := strings.Fields(text)
	if !strings.HasPrefix(field, "f") || len(figures) != 6 {
		return u, false
	}
	var n [6]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(figures[i], 10, 64); err != nil || n[i] < 0 {
			return u, false
		}
	}
	return store.Usage{
		Flow: field[1:], Requests: n[0], TokensIn: n[1], TokensCached: n[2], TokensOut: n[3], Charged: n[4], Held: time.Duration(n[5]) * time.Millisecond,
	}, true
}
