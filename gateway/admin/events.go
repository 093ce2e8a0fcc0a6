package admin

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/store"
)

// maxEvents is how many events a replica keeps.
const maxEvents = 512

// sameEvent is how far apart two replicas may see one event.
const sameEvent = 5 * time.Second

// events is the last things that this replica saw happen, the oldest first.
type events struct {
	mu   sync.Mutex
	list []api.Event
}

func (e *events) add(happened ...api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, happened...)
	if n := len(e.list); n > maxEvents {
		e.list = append(e.list[:0:0], e.list[n-maxEvents:]...)
	}
}

func (e *events) all() []api.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// Note adds an event of this replica.
func (s *Server) Note(kind, severity, subject, text string) {
	s.events.add(newEvent(s.cfg.Replica, kind, severity, subject, text))
}

func newEvent(replica, kind, severity, subject, text string) api.Event {
	return api.Event{At: time.Now(), Kind: kind, Severity: severity, Subject: subject, Text: text, Replicas: []string{replica}}
}

// eventsHere is what this replica saw of the pool, and of all pools, the oldest first.
func (s *Server) eventsHere() []api.Event {
	all := s.events.all()
	if d := s.cfg.directory; d != nil {
		all = append(all, d.events.all()...)
		slices.SortStableFunc(all, func(a, b api.Event) int { return a.At.Compare(b.At) })
	}
	return all[max(0, len(all)-maxEvents):]
}

func (s *Server) eventList(ctx context.Context, q *query) (*api.Events, error) {
	parts, fleet, err := gather[[]api.Event](ctx, s, q.replica, question{Ask: askEvents})
	if err != nil {
		return nil, err
	}
	return eventPage(parts, fleet, q), nil
}

// eventPage is the part that was asked for of what the replicas saw.
func eventPage(parts []partOf[[]api.Event], fleet api.Fleet, q *query) *api.Events {
	all := mergeEvents(parts)
	if q.kind != "" {
		all = slices.DeleteFunc(all, func(e api.Event) bool { return e.Kind != q.kind })
	}
	some, p := page(q, all)
	return &api.Events{Fleet: fleet, Page: p, Events: some}
}

// mergeEvents lists what the replicas saw, the latest first; what several saw, once.
func mergeEvents(parts []partOf[[]api.Event]) []api.Event {
	var all []api.Event
	for i := range parts {
		for _, e := range parts[i].part[:min(len(parts[i].part), maxEvents)] {
			e.Replicas = []string{parts[i].replica}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b api.Event) int { return a.At.Compare(b.At) })
	type what struct{ kind, subject, text string }
	last := make(map[what]int)
	merged := all[:0]
	for _, e := range all {
		w := what{e.Kind, e.Subject, e.Text}
		if at, seen := last[w]; seen && e.At.Sub(merged[at].At) < sameEvent && !slices.Contains(merged[at].Replicas, e.Replicas[0]) {
			merged[at].Replicas = append(merged[at].Replicas, e.Replicas[0])
			continue
		}
		last[w] = len(merged)
		merged = append(merged, e)
	}
	slices.Reverse(merged)
	return merged
}

// seen is what this replica saw when it last looked.
type seen struct {
	view      core.View
	endpoints []endpoints.Status
}

// happened is what lies between two looks.
func happened(before, after *seen) []api.Event {
	var all []api.Event
	note := func(kind, severity, subject, format string, args ...any) {
		all = append(all, api.Event{Kind: kind, Severity: severity, Subject: subject, Text: fmt.Sprintf(format, args...)})
	}
	ledgerEvents(&before.view, &after.view, note)
	peerEvents(&before.view, &after.view, note)
	endpointEvents(before.endpoints, after.endpoints, note)
	return all
}

type noting func(kind, severity, subject, format string, args ...any)

// ledgerWords say what a state of the ledger means.
var ledgerWords = map[core.LedgerState]string{
	core.Registering: "registers with the ledger",
	core.Connected:   "has the ledger",
	core.Slow:        "finds the ledger slow",
	core.Outage:      "is in an outage: the ledger is out of its reach, and it goes on within its share",
	core.Superseded:  "has lost its id to another process",
}

var ledgerSeverity = map[core.LedgerState]string{
	core.Registering: api.Info, core.Connected: api.Info, core.Slow: api.Warning, core.Outage: api.Severe, core.Superseded: api.Severe,
}

func ledgerEvents(before, after *core.View, note noting) {
	if before.Ledger != after.Ledger {
		words := ledgerWords[after.Ledger]
		if before.Ledger == core.Slow && after.Ledger == core.Connected { // it never was without
			words = "finds the ledger quick again"
		}
		note(api.LedgerState, ledgerSeverity[after.Ledger], after.Replica, "%s %s", after.Replica, words)
	}
	if before.Generation != 0 && after.Generation != 0 && before.Generation != after.Generation {
		note(api.LedgerWiped, api.Severe, "ledger", "the ledger had lost what it knew, and was told anew")
	}
	if b, a := before.Pool.Limit, after.Pool.Limit; (b == 0) != (a == 0) && b < store.Unlimited && a < store.Unlimited {
		if a == 0 {
			note(api.LimitChanged, api.Severe, "pool", "the pool takes nothing: all endpoints are full, cannot be read or are gone")
		} else {
			note(api.LimitChanged, api.Info, "pool", "the pool takes requests again")
		}
	}
}

func peerEvents(before, after *core.View, note noting) {
	was := make(map[string]core.PeerView)
	for _, p := range before.Peers {
		was[p.ID] = p
	}
	is := make(map[string]bool)
	for _, p := range after.Peers {
		is[p.ID] = true
		b, known := was[p.ID]
		switch {
		case p.Live && (!known || !b.Live):
			note(api.ReplicaJoined, api.Info, p.ID, "%s joined", p.ID)
		case p.Live && known && b.Incarnation != 0 && b.Incarnation != p.Incarnation:
			note(api.ReplicaJoined, api.Info, p.ID, "%s runs anew", p.ID)
		case !p.Live && b.Live:
			gone(&b, &p, note)
		}
	}
	for _, b := range before.Peers {
		if b.Live && !is[b.ID] {
			gone(&b, &b, note)
		}
	}
}

// gone notes a replica that lives no longer.
func gone(before, after *core.PeerView, note noting) {
	if before.Leaving || after.Leaving {
		note(api.ReplicaLeft, api.Info, before.ID, "%s left", before.ID)
	} else {
		note(api.ReplicaLost, api.Severe, before.ID, "%s is gone", before.ID)
	}
}

func endpointEvents(before, after []endpoints.Status, note noting) {
	was := make(map[string]endpoints.Status)
	for _, e := range before {
		was[e.URL] = e
	}
	for _, e := range after {
		b, known := was[e.URL]
		delete(was, e.URL)
		switch {
		case !known:
			note(api.EndpointJoined, api.Info, e.Name, "%s joined the pool", e.Name)
		case b.Healthy && !e.Healthy:
			note(api.EndpointEjected, api.Severe, e.Name, "%s cannot be reached, and gets nothing", e.Name)
		case !b.Healthy && e.Healthy:
			note(api.EndpointBack, api.Info, e.Name, "%s can be reached again", e.Name)
		}
	}
	for _, e := range before {
		if _, left := was[e.URL]; left {
			note(api.EndpointLeft, api.Info, e.Name, "%s left the pool", e.Name)
		}
	}
}
