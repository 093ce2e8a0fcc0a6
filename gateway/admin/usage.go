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
	used := newUses(q)
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
		used.add(group, hour, &u)
	})
	if err != nil {
		return nil, err
	}
	some, p := page(q, used.list())
	return &api.UsageList{Fleet: fleet, From: from, To: to, Page: p, Usage: some, Sum: usageOf(&used.sum)}, nil
}

// uses are what flows or groups used, in all or by the hour, as a question wants them.
type uses struct {
	byFlow, byGroup, byHour bool
	of                      map[user]*store.Usage
	sum                     store.Usage
}

// user is what a use is counted for. What the question does not tell apart is left out.
type user struct {
	flow, group string
	hour        int64
}

func newUses(q *query) *uses {
	return &uses{
		byFlow: strings.HasPrefix(cmp.Or(q.by, "flow"), "flow"), byGroup: byGroup(q.by), byHour: strings.HasSuffix(q.by, "hour"),
		of: make(map[user]*store.Usage),
	}
}

// add counts what a flow of a group used in an hour.
func (all *uses) add(group string, hour time.Time, u *store.Usage) {
	var k user
	if all.byFlow {
		k.flow = u.Flow
	}
	if all.byFlow || all.byGroup {
		k.group = group
	}
	if all.byHour {
		k.hour = hour.Unix()
	}
	if all.of[k] == nil {
		all.of[k] = &store.Usage{}
	}
	all.of[k].Add(u)
	all.sum.Add(u)
}

// list is all of them: the earliest hour first, and then who was charged most.
func (all *uses) list() []api.Usage {
	list := make([]api.Usage, 0, len(all.of))
	for k, u := range all.of {
		one := usageOf(u)
		if one.Flow, one.Group = k.flow, k.group; all.byHour {
			hour := time.Unix(k.hour, 0).UTC()
			one.Hour = &hour
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b api.Usage) int {
		if a.Hour != nil && !a.Hour.Equal(*b.Hour) {
			return a.Hour.Compare(*b.Hour)
		}
		return cmp.Or(cmp.Compare(b.Charged, a.Charged), strings.Compare(a.Group, b.Group), strings.Compare(a.Flow, b.Flow))
	})
	return list
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
