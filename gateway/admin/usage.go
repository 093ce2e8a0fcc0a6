package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/store"
)

// reading bounds how long the ledger may take for what was used.
const reading = 5 * time.Second

// metered hands over what was counted here until now, so that it is in the ledger. A ledger
// that is slower than others' answers are waited for can still be read.
func (s *Server) metered(ctx context.Context) (bool, error) {
	if s.cfg.Meter == nil {
		return false, nil
	}
	if err := s.cfg.Meter.HandOver(ctx); err != nil {
		return false, fmt.Errorf("%w: what it counted last did not get to the ledger: %w", errNoPart, err)
	}
	return true, nil
}

// usageBy is by what usage can be added up.
var usageBy = []string{"flow", "group", "hour", "flow,hour", "group,hour"}

// byGroup reports whether that is by groups.
func byGroup(by string) bool { return strings.HasPrefix(by, "group") }

// usage adds up what flows used, by the hours of a time.
func (s *Server) usage(ctx context.Context, q *query) (*api.UsageList, error) {
	if s.cfg.Ledger == nil {
		return nil, saying(errConflict, "no ledger keeps what tenants use here")
	}
	_, fleet, err := gather[bool](ctx, s, false, question{Ask: askMetered, Unique: rand.Text()})
	if err != nil {
		return nil, err
	}
	from, to := q.span(time.Now().UTC())
	groups := s.cfg.Configuration().Groups
	if q.group != "" || byGroup(q.by) {
		if err := s.checkGroup(q.group); err != nil {
			return nil, err
		}
	}
	byFlow, byGroup, byHour := strings.HasPrefix(cmp.Or(q.by, "flow"), "flow"), byGroup(q.by), strings.HasSuffix(q.by, "hour")
	type key struct {
		flow, group string
		hour        int64
	}
	used, sum := make(map[key]*store.Usage), store.Usage{}
	ctx, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	err = s.cfg.Ledger.Usage(ctx, from, to, func(hour time.Time, u store.Usage) {
		group := ""
		if groups != nil {
			group = groupOf(groups(u.Flow))
		}
		if q.flow != "" && u.Flow != q.flow || q.group != "" && !within(group, q.group) {
			return
		}
		var k key
		if byFlow {
			k.flow = u.Flow
		}
		if byFlow || byGroup {
			k.group = group
		}
		if byHour {
			k.hour = hour.Unix()
		}
		if used[k] == nil {
			used[k] = &store.Usage{}
		}
		used[k].Add(&u)
		sum.Add(&u)
	})
	if err != nil {
		return nil, err
	}
	all := make([]api.Usage, 0, len(used))
	for k, u := range used {
		one := usageOf(u)
		if one.Flow, one.Group = k.flow, k.group; byHour {
			hour := time.Unix(k.hour, 0).UTC()
			one.Hour = &hour
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b api.Usage) int {
		if a.Hour != nil && !a.Hour.Equal(*b.Hour) {
			return a.Hour.Compare(*b.Hour)
		}
		return cmp.Or(cmp.Compare(b.Charged, a.Charged), strings.Compare(a.Group, b.Group), strings.Compare(a.Flow, b.Flow))
	})
	some, p := page(q, all)
	return &api.UsageList{Fleet: fleet, From: from, To: to, Page: p, Usage: some, Sum: usageOf(&sum)}, nil
}

// span is the time that is asked about, in whole hours: the last day by default, and no more
// than is kept.
func (q *query) span(now time.Time) (from, to time.Time) {
	from, to = q.from.UTC(), q.to.UTC()
	if q.to.IsZero() || to.After(now) {
		to = now
	}
	if q.from.IsZero() {
		from = to.Add(-24 * time.Hour)
	}
	if oldest := now.Add(-store.UsageKept); from.Before(oldest) {
		from = oldest
	}
	return from.Truncate(time.Hour), to.Add(time.Hour - 1).Truncate(time.Hour)
}

func usageOf(u *store.Usage) api.Usage {
	return api.Usage{
		Requests: u.Requests, TokensIn: u.TokensIn, TokensCached: u.TokensCached, TokensOut: u.TokensOut,
		Charged: u.Charged, SlotSeconds: u.Held.Seconds(),
	}
}
