package admin

import (
	"context"
	"hash/fnv"
	"io"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/store"
)

// statePart is what one replica knows beside flows and requests.
type statePart struct {
	Version     string    `json:"version"`
	Incarnation uint64    `json:"incarnation"`
	Started     time.Time `json:"started"`
	Fingerprint string    `json:"fingerprint"`
	Loaded      time.Time `json:"loaded"`
	// Refused is a configuration that it did not take over.
	Refused *api.RefusedConfig `json:"refused,omitempty"`

	Shadow     bool             `json:"shadow,omitempty"`
	Ledger     core.LedgerState `json:"ledger"`
	Generation uint64           `json:"generation"`
	// Answered is when the last turn was that was answered, by the ledger's clock.
	Answered time.Time   `json:"answered"`
	TurnMS   float64     `json:"turn_ms"`
	Pool     core.Pool   `json:"pool"`
	Totals   core.Totals `json:"totals"`

	Waiting  int        `json:"waiting"`
	InFlight int        `json:"in_flight"`
	Bands    []bandPart `json:"bands"`
	// Counted is since it started.
	Counted countsPart `json:"counted"`
	// Refusals are requests of late that the gateway ended itself, by the code of its answer.
	Refusals map[string]uint64 `json:"refusals,omitempty"`
	// SpanMS is how much time the bands' figures of late are of.
	SpanMS int64 `json:"span_ms"`

	MapVersion uint64             `json:"map_version"`
	Owners     []string           `json:"owners"`
	Shards     map[int][2]int64   `json:"shards"` // flows and what waits of them
	Peers      []core.PeerView    `json:"peers"`
	Apart      []apartPart        `json:"apart"`
	Lost       []store.Lost       `json:"lost,omitempty"`
	Groups     []groupPart        `json:"groups,omitempty"`
	Endpoints  []endpoints.Status `json:"endpoints"`
	Pickers    []picker.Status    `json:"pickers,omitempty"`
	// Held is what classes held here since it started.
	Held []heldPart `json:"held,omitempty"`
}

// groupPart is a group that is guaranteed something, and the account of that, as the ledger
// last told here.
type groupPart struct {
	Path  string          `json:"path"`
	Share store.Guarantee `json:"share"`
}

// bandPart is one priority at one replica.
type bandPart struct {
	Priority int    `json:"priority"`
	Policy   string `json:"policy"`
	// Weight is what it gets beside others; 0 where it goes by its priority.
	Weight float64 `json:"weight,omitempty"`
	// Ceiling and Limit are as in core.BandView: of the fleet, and of those that have the ledger.
	Ceiling  int64 `json:"ceiling"`
	Limit    int64 `json:"limit"`
	InFlight int64 `json:"in_flight"`
	Queued   int64 `json:"queued"`
	Flows    int   `json:"flows"`
	// FlowIDs tells which they are, up to a bound: 8 bytes each, a hash of the id. Replicas
	// that owned a flow before go on to know it, so their counts cannot be added up.
	FlowIDs []byte     `json:"flow_ids,omitempty"`
	Oldest  time.Time  `json:"oldest"` // by the ledger's clock
	Recent  countsPart `json:"recent"`
	// Share is the account of what the priority is guaranteed, as the ledger last told here.
	Share store.Guarantee `json:"share"`
}

// countsPart is figures of late.
type countsPart struct {
	Dispatched uint64   `json:"d,omitempty"`
	Refused    uint64   `json:"x,omitempty"`
	Evicted    uint64   `json:"e,omitempty"`
	Tokens     uint64   `json:"t,omitempty"`
	Waits      []uint32 `json:"w,omitempty"`
}

type apartPart struct{ ID, Pool, Prefix string }

func countsOf(c *traffic.Counts) countsPart {
	return countsPart{Dispatched: c.Dispatched, Refused: c.Refused, Evicted: c.Evicted, Tokens: c.Tokens, Waits: c.Waits.Pairs()}
}

// addTo adds the figures of another replica, and drops what cannot be read of them.
func (c *countsPart) addTo(sum *traffic.Counts) {
	sum.Dispatched += c.Dispatched
	sum.Refused += c.Refused
	sum.Evicted += c.Evicted
	sum.Tokens += c.Tokens
	if w, err := traffic.FromPairs(c.Waits); err == nil {
		sum.Waits.Add(&w)
	}
}

// recent is figures over the time that they are of.
func recent(c *traffic.Counts, span time.Duration) api.Recent {
	seconds := max(span.Seconds(), 1)
	return api.Recent{
		SpanMS:     span.Milliseconds(),
		Dispatched: float64(c.Dispatched) / seconds, Refused: float64(c.Refused) / seconds, Evicted: float64(c.Evicted) / seconds,
		WaitP50MS: ms(c.Waits.Quantile(0.5)), WaitP99MS: ms(c.Waits.Quantile(0.99)),
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// statePart is this replica's.
func (s *Server) statePart(ctx context.Context) (statePart, error) {
	v, err := s.cfg.Gateway.Controller().View(ctx)
	if err != nil {
		return statePart{}, err
	}
	return s.stateOf(&v), nil
}

func (s *Server) stateOf(v *core.View) statePart {
	c := s.cfg.Configuration()
	p := statePart{
		Version: s.cfg.Version, Started: s.started, Fingerprint: c.Fingerprint, Loaded: c.Loaded, Refused: c.Refused,
		Shadow: s.cfg.Gateway.Shadow().On(), Ledger: v.Ledger, Generation: v.Generation, Answered: v.Answered, TurnMS: ms(v.TurnTook),
		Pool: v.Pool, Totals: v.Totals, Waiting: v.Waiting, InFlight: v.InFlight,
		MapVersion: v.Shards.Version(), Peers: v.Peers, Lost: v.Lost, Shards: make(map[int][2]int64),
		SpanMS: s.cfg.Traffic.Span().Milliseconds(), Refusals: s.cfg.Traffic.Refusals(),
	}
	p.Held = s.held.parts(c.Groups)
	total := s.cfg.Traffic.Totals()
	p.Counted = countsOf(&total)
	for i := range v.Shards.Shards() {
		p.Owners = append(p.Owners, v.Shards.OwnerOf(i))
	}
	for _, peer := range v.Peers {
		if peer.ID == s.cfg.Replica {
			p.Incarnation = peer.Incarnation
		}
	}
	for _, a := range v.Apart {
		p.Apart = append(p.Apart, apartPart{a.ID, a.Ledger.Pool, a.Ledger.Prefix})
	}
	for _, e := range s.cfg.Gateway.Endpoints().Endpoints() {
		p.Endpoints = append(p.Endpoints, e.Status())
	}
	if s.cfg.Pickers != nil {
		p.Pickers = s.cfg.Pickers.Status()
	}
	for _, g := range v.Groups {
		p.Groups = append(p.Groups, groupPart(g))
	}
	for i := range v.Flows {
		f := &v.Flows[i]
		at := p.Shards[f.Shard]
		p.Shards[f.Shard] = [2]int64{at[0] + 1, at[1] + f.Requests}
	}
	p.Bands = s.bandParts(v)
	return p
}

// bandParts are the priorities of a view, each with its flows and what went through it of late;
// in no order.
func (s *Server) bandParts(v *core.View) (all []bandPart) {
	bands := make(map[int]*bandPart)
	band := func(priority int) *bandPart {
		b := bands[priority]
		if b == nil {
			b = &bandPart{Priority: priority, Ceiling: store.NoOpinion, Limit: store.NoOpinion}
			bands[priority] = b
		}
		return b
	}
	for i := range v.Bands {
		from := &v.Bands[i]
		b := band(from.Priority)
		b.Policy, b.Ceiling, b.Limit, b.InFlight, b.Queued = from.Policy, from.Ceiling, from.Limit, from.InFlight, from.Queued
		b.Share, b.Weight = from.Share, from.Weight
	}
	for i := range v.Flows {
		f := &v.Flows[i]
		b := band(f.Key.Priority)
		if b.Flows++; b.Flows <= maxFlowParts {
			id := fnv.New64a()
			_, _ = io.WriteString(id, f.Key.ID) // to memory
			b.FlowIDs = id.Sum(b.FlowIDs)
		}
		if f.Requests > 0 && (b.Oldest.IsZero() || f.Oldest.Before(b.Oldest)) {
			b.Oldest = f.Oldest
		}
	}
	s.cfg.Traffic.Bands(func(priority int, c traffic.Counts) { band(priority).Recent = countsOf(&c) })
	for _, b := range bands {
		all = append(all, *b)
	}
	return all
}
