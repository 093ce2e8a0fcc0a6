package admin

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store"
)

// explaining is what is known of a request that waits, and what is made of it.
type explaining struct {
	request *api.Request
	place   shard.Place
	pool    *api.Pool
	own     *flow
	states  []partOf[statePart]
	// accounts are those of what is guaranteed something, and used is what classes have in flight.
	accounts map[class]store.Guarantee
	used     map[class]api.Account
	// inGroup is what the group at its maximum has in flight, of maximum.
	inGroup, maximum int64
	why              api.Why
}

// lineUp works out what is ahead: in the request's band by flow; and of other bands those
// above it, and below it what their guarantees have go first. Before one that is due itself
// there is only its own band.
func (e *explaining) lineUp(parts []partOf[aheadPart]) {
	byFlow := map[string]int{e.request.Flow: e.place.Ahead}
	for i := range parts {
		for _, a := range parts[i].part.Ahead {
			byFlow[a.Flow] += max(0, a.Requests)
		}
	}
	ahead := []api.Ahead{}
	e.why.Place = 1
	for id, n := range byFlow {
		if n > 0 {
			e.why.Place += n
			ahead = append(ahead, api.Ahead{Flow: id, Priority: e.request.Priority, Requests: n})
		}
	}
	e.why.AheadFlows = len(ahead)
	slices.SortFunc(ahead, func(a, b api.Ahead) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Flow, b.Flow))
	})
	ahead = ahead[:min(len(ahead), maxAhead)]
	above, due := []api.Ahead{}, e.isDue()
	for _, b := range e.pool.Bands {
		first := b.Queued // before it, of the other priority
		if b.Priority < e.request.Priority {
			first = min(first, e.due(class{priority: b.Priority}))
		}
		switch {
		case b.Priority == e.request.Priority:
			e.why.InBand = int(b.Queued)
		case first > 0 && !due && !e.sharesWith(b.Priority):
			above = append(above, api.Ahead{Priority: b.Priority, Requests: int(first)})
		}
	}
	e.why.InBand = max(e.why.InBand, e.why.Place)
	e.why.Ahead = append(above, ahead...)
}

// inItsGroup counts what waits beside the request where groups take turns.
func (e *explaining) inItsGroup(all []*flow) {
	if e.own.Group == "" {
		return
	}
	e.why.Group = e.own.Group
	for _, f := range all {
		if f.Priority == e.request.Priority && f.Group == e.own.Group {
			e.why.InGroup += int(f.Queued)
		}
	}
	e.why.InGroup = max(e.why.InGroup, e.why.Place)
	e.why.InBand = max(e.why.InBand, e.why.InGroup)
}

// steady is how many requests of a flow must have gone of late for their rate to say when
// the next ones go.
const steady = 5

// expect works out how long the request will still wait, unless nothing goes. If requests of
// its own flow keep going, at their rate, which already has in it what goes to other flows. If
// not, at the rate of its band.
func (e *explaining) expect() {
	if e.why.HeldBy == api.HeldByEndpoints || e.why.HeldBy == api.HeldByMetrics {
		return
	}
	rate, place := e.own.Recent.Dispatched, e.why.PlaceInFlow
	if e.own.counts.Dispatched < steady {
		rate, place = e.bandOf(e.request.Priority).Recent.Dispatched, e.why.Place
	}
	if rate <= 0 {
		return
	}
	wait := int64(math.Round(1000 * float64(place) / rate))
	e.why.ExpectedMS = &wait
}

// sharesWith reports whether the request's priority and another share the pool by weights:
// neither, nor one between them, goes by its priority.
func (e *explaining) sharesWith(other int) bool {
	low, high := min(other, e.request.Priority), max(other, e.request.Priority)
	for _, b := range e.pool.Bands {
		if b.Priority >= low && b.Priority <= high && b.Weight == 0 {
			return false
		}
	}
	return true
}

// weightWords says what the request's priority shares by weights with others that wait.
func (e *explaining) weightWords() string {
	own, sum := e.bandOf(e.request.Priority).Weight, 0.0
	for _, b := range e.pool.Bands {
		if b.Priority == e.request.Priority || b.Queued > 0 && e.sharesWith(b.Priority) {
			sum += b.Weight
		}
	}
	if own == 0 || sum == own {
		return ""
	}
	return fmt.Sprintf("; priority %d has %.3g%% of it by its weight beside those that wait", e.request.Priority, 100*own/sum)
}

// bandOf is the band of a priority, or an empty one.
func (e *explaining) bandOf(priority int) api.Band {
	for _, b := range e.pool.Bands {
		if b.Priority == priority {
			return b
		}
	}
	return api.Band{Priority: priority}
}

// ownState is the state of the replica that holds the request's connection, by which it
// goes without the others.
func (e *explaining) ownState() core.LedgerState {
	for i := range e.states {
		if e.states[i].replica == e.request.Ingress {
			return e.states[i].part.Ledger
		}
	}
	return core.LedgerState(e.pool.Ledger.State)
}

// hold finds what holds the request, from what holds everything to what holds it alone.
func (e *explaining) hold() {
	band, p := e.bandOf(e.request.Priority), e.pool
	hold := func(by, format string, args ...any) { e.why.HeldBy, e.why.Reason = by, fmt.Sprintf(format, args...) }
	higher := 0
	for _, b := range p.Bands {
		if b.Priority > e.request.Priority && !e.sharesWith(b.Priority) {
			higher += int(b.Queued)
		}
	}
	inUse := int64(0) // of what the band may use: its own and those above it
	for _, b := range p.Bands {
		inUse += b.InFlight
	}
	switch state := e.ownState(); {
	case p.Endpoints == 0:
		hold(api.HeldByEndpoints, "no endpoint of the pool can be used%s", e.unusable())
	case p.Limit != nil && *p.Limit == 0:
		hold(api.HeldByMetrics, "all endpoints count as full: they are, or their metrics cannot be read")
	case state == core.Outage || state == core.Registering || state == core.Superseded:
		hold(api.HeldByLedger, "%s has no ledger at the moment (%s)", e.request.Ingress, state)
	case e.request.InLine:
		hold(api.HeldByPool, "it is next: it goes when a request of %s ends", e.request.Ingress)
	case e.place.AtLimit:
		hold(api.HeldByFlow, "%s is at its own limit%s", strconv.Quote(e.request.Flow), e.limitWords())
	case e.place.AtMaximum != "":
		hold(api.HeldByGroup, "the group %q is at its maximum: %d of %d in flight", e.place.AtMaximum, e.inGroup, e.maximum)
	case higher == 1 && !e.isDue():
		hold(api.HeldByPriority, "1 request of a higher priority waits and goes first%s", e.guaranteeWords())
	case higher > 0 && !e.isDue():
		hold(api.HeldByPriority, "%d requests of higher priorities wait and go first%s", higher, e.guaranteeWords())
	case p.Limit != nil && p.InFlight >= *p.Limit:
		hold(api.HeldByPool, "the pool is full: %d of %d in flight%s%s", p.InFlight, *p.Limit, e.weightWords(), e.guaranteeWords())
	case band.Limit != nil && inUse >= *band.Limit:
		hold(api.HeldByBand, "priority %d may use %d of the pool's slots, and %d are in use", band.Priority, *band.Limit, inUse)
	case inUse >= e.left():
		hold(api.HeldByBand, "priority %d may use %d of the pool's slots beside replicas in an outage, and %d are in use", band.Priority, e.left(), inUse)
	default:
		hold(api.HeldByNothing, "nothing holds it: it goes with the next exchange with the ledger")
	}
}

// unusable says why no endpoint can be used.
func (e *explaining) unusable() string {
	var parts []string
	if n := e.pool.EndpointsDrained; n > 0 {
		parts = append(parts, fmt.Sprintf("%d drained by an operator", n))
	}
	if n := e.pool.EndpointsEjected; n > 0 {
		parts = append(parts, fmt.Sprintf("%d ejected", n))
	}
	if len(parts) == 0 {
		return ": it has none"
	}
	return ": " + strings.Join(parts, ", ")
}

// left is how many requests may be in flight for the request's band to go on where its
// ingress has the ledger and others do not.
func (e *explaining) left() int64 {
	for i := range e.states {
		if e.states[i].replica != e.request.Ingress {
			continue
		}
		for _, b := range e.states[i].part.Bands {
			if b.Priority == e.request.Priority && b.Limit >= 0 {
				return b.Limit
			}
		}
	}
	return store.Unlimited
}

// due is how many requests of a class are due to it, by what it is guaranteed.
func (e *explaining) due(of class) int64 {
	account, guaranteed := e.accounts[of]
	if !guaranteed {
		return 0
	}
	return account.Room(e.has(of))
}

// has is how many requests a class has in flight.
func (e *explaining) has(of class) int64 {
	if of.group != "" {
		return e.used[of].InFlight
	}
	return e.bandOf(of.priority).InFlight
}

// classes are those that the request is in: the groups, the outermost first, and its priority.
func (e *explaining) classes() (all []class) {
	for _, g := range e.own.groups {
		all = append(all, class{group: g.Path})
	}
	return append(all, class{priority: e.request.Priority})
}

// isDue reports whether something is due to the request's priority, or to a group that it is
// in.
func (e *explaining) isDue() bool {
	return slices.ContainsFunc(e.classes(), func(of class) bool { return e.due(of) > 0 })
}

// guaranteeWords says how the request's priority and its groups stand with what they are
// guaranteed; nothing where they are not.
func (e *explaining) guaranteeWords() (words string) {
	for _, of := range e.classes() {
		account, guaranteed := e.accounts[of]
		if !guaranteed {
			continue
		}
		name, has := "its priority", e.has(of)
		if of.group != "" {
			name = fmt.Sprintf("the group %q", of.group)
		}
		switch {
		case e.due(of) > 0 && float64(has) < account.Slots:
			words += fmt.Sprintf("; %s has %d of the %s that it is guaranteed, and is due the next that ends", name, has, slots(account.Slots))
		case e.due(of) > 0:
			words += fmt.Sprintf("; %s has %d in flight, is guaranteed %s, had less before and is due the next that ends", name, has, slots(account.Slots))
		case float64(has) < account.Slots:
			words += fmt.Sprintf("; %s has %d of the %s that it is guaranteed, after it had more", name, has, slots(account.Slots))
		default:
			words += fmt.Sprintf("; %s has %d in flight, and is guaranteed %s", name, has, slots(account.Slots))
		}
	}
	return words
}

// slots is so many of them in words.
func slots(n float64) string {
	if n == 1 {
		return "1 slot"
	}
	return fmt.Sprintf("%.4g slots", n)
}

// limitWords says what the flow's own limit is.
func (e *explaining) limitWords() string {
	l := e.place.Limit
	switch {
	case l.MaxInFlight > 0 && e.why.InFlight >= l.MaxInFlight:
		return fmt.Sprintf(": %d of %d in flight", e.why.InFlight, l.MaxInFlight)
	case l.TokensPerMinute > 0:
		return fmt.Sprintf(" of %.0f tokens a minute", l.TokensPerMinute)
	case l.MaxInFlight > 0:
		return fmt.Sprintf(" of %d in flight", l.MaxInFlight)
	}
	return ", which another replica's configuration has"
}
