package storetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// Compare draws a random history of turns, with lost replies, stalls, restarts
// and departures, drives every ledger through it and compares their answers. The
// ledgers are empty and share the clock; the first is the reference.
func Compare(t *rapid.T, clock *Clock, names []string, ledgers []store.Ledger) {
	limits := []int64{1, 2, 5, 30, store.NoOpinion}
	h := &history{t: t, clock: clock, names: names, ledgers: ledgers}
	decaying := counting(0, 0)
	decaying.HalfLife = rapid.SampledFrom([]time.Duration{0, 40 * time.Millisecond, 4 * time.Millisecond}).Draw(t, "half-life")
	decaying.LiftsIdle = decaying.HalfLife == 0
	bounded := rapid.IntRange(0, 2).Draw(t, "capacities") > 0
	counted := rapid.SampledFrom([][]string{nil, {"x"}, {"x/y"}, {"x", "x/y", "z"}}).Draw(t, "groups that are counted")
	maxima, floors := rapid.Bool().Draw(t, "with maxima"), rapid.Bool().Draw(t, "with guarantees")
	for i := range 3 {
		limit := rapid.SampledFrom(limits).Draw(t, "limit")
		decaying.Limit = limit
		h.parties = append(h.parties, &member{
			party: party{id: fmt.Sprint("r", i), inc: 1, members: 1, register: true, bands: []store.Band{
				counting(5, limit), decaying,
				{Priority: -1, Policy: "strict", Limit: limit},
			}},
			standing: map[policies.TicketID]bool{}, bounded: bounded && rapid.IntRange(0, 5).Draw(t, "by endpoint") > 0,
			counted: counted, maxima: maxima, floors: floors,
		})
		h.parties[i].drawGuarantees(t)
	}
	for range rapid.IntRange(1, 60).Draw(t, "turns") {
		h.step()
	}
}

// weights are what the flows of a history weigh; 0 is stated of the others.
var weights = map[string]float64{"a": 2, "b": 0.5, "c%": 3}

// groups are those that a history's flows are in, which are also in none.
var groups = []string{"x", "x/y", "x/y%", "z"}

type history struct {
	t       *rapid.T
	clock   *Clock
	names   []string
	ledgers []store.Ledger
	parties []*member
	tickets int
}

// member is a party of a history with the tickets it believes stand.
type member struct {
	party
	standing map[policies.TicketID]bool
	order    []store.Offer // every offer it made that may stand
	flying   []store.Message
	float    int64
	bounded  bool     // it states what its endpoints take
	lined    int64    // tickets in line at it
	counted  []string // groups whose figures it states

	maxima, floors bool // these have a maximum, or a guarantee
}

// step draws one turn.
func (h *history) step() {
	t := h.t
	m := rapid.SampledFrom(h.parties).Draw(t, "replica")
	h.clock.Advance(time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond)
	switch rapid.IntRange(0, 30).Draw(t, "fate") {
	case 0:
		h.clock.Advance(Lease + time.Millisecond)
	case 1: // a later process under the same id
		m.inc++
		m.number, m.answered, m.generation, m.read, m.batch = 0, 0, 0, 0, 0
		m.register, m.order, m.flying = true, nil, nil
		clear(m.standing)
		for i := range m.bands {
			m.bands[i].InFlight = 0
		}
	case 3:
		m.drawGuarantees(t)
	case 2:
		m.bands[1].Policy = rapid.SampledFrom([]string{"fair", "other"}).Draw(t, "policy")
		m.full = true
	}
	s := m.draw(h)
	var answers []*store.Reply
	for i, l := range h.ledgers {
		reply, err := l.Turn(context.Background(), s)
		if err != nil {
			t.Fatalf("%s: %v", h.names[i], err)
		}
		answers = append(answers, normal(reply))
	}
	for i := range answers[1:] {
		if diff := cmp.Diff(answers[0], answers[i+1]); diff != "" {
			t.Fatalf("%+v\nanswers differ (-%s +%s):\n%s", s, h.names[0], h.names[i+1], diff)
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "reply lost") > 0 {
		m.take(s, answers[0])
	}
}

// restate draws what is stated otherwise of an offer that stands.
func (m *member) restate(t *rapid.T, o *store.Offer) {
	switch rapid.IntRange(0, 9).Draw(t, "restated") {
	case 0:
		o.Group = rapid.SampledFrom(append(groups, "")).Draw(t, "other group")
		o.Idle, o.IdleGroups = rapid.Bool().Draw(t, "idle there"), rapid.IntRange(0, 2).Draw(t, "idle groups there")
	}
}

// normal makes replies comparable.
func normal(r *store.Reply) *store.Reply {
	c := *r
	c.Now = c.Now.UTC()
	c.Messages = append([]store.Message{}, r.Messages...)
	c.Rooms = append([]store.Room{}, r.Rooms...)
	c.Revoke = append([]uint64{}, r.Revoke...)
	c.Bands = append([]store.BandTotal{}, r.Bands...)
	c.Loads = append([]store.Load{}, r.Loads...)
	c.Groups = append([]store.Group{}, r.Groups...)
	c.Lost = append([]store.Lost{}, r.Lost...)
	c.Permits, c.Short = append([]store.Permit{}, r.Permits...), append([]string{}, r.Short...)
	return &c
}

// draw makes up what the member states.
func (m *member) draw(h *history) *store.Statement {
	t := h.t
	for len(m.flying) > 0 && rapid.Bool().Draw(t, "one ends") {
		m.land()
	}
	s := &store.Statement{
		Replica: m.id, Incarnation: m.inc, Answered: m.answered, Generation: m.generation, ReadUpTo: m.read,
		Members: 1, Register: m.register, Full: m.full, Bands: append([]store.Band(nil), m.bands...), Batch: m.batch,
		Alone: m.register && m.generation != 0 && rapid.IntRange(0, 3).Draw(t, "alone") == 0,
	}
	if s.Evicts = rapid.Bool().Draw(t, "evicts"); s.Evicts {
		s.Revoking = int64(rapid.IntRange(0, 1).Draw(t, "revoking"))
		for n := range rapid.IntRange(0, 3).Draw(t, "sheddable") {
			s.Sheddable = append(s.Sheddable, store.Sheddable{
				Seq: uint64(n + 1), Priority: rapid.IntRange(-3, 1).Draw(t, "of priority"), Score: float64(rapid.IntRange(-2, 2).Draw(t, "place")),
				Group: rapid.SampledFrom([]string{"", "x", "x/y%"}).Draw(t, "of group"),
			})
		}
	}
	for _, flow := range []string{"a", "b"} {
		if s.Register || s.Full || rapid.Bool().Draw(t, "limited") {
			s.Limited = append(s.Limited, store.Limited{
				Flow: flow, MaxInFlight: int64(rapid.IntRange(0, 3).Draw(t, "most")),
				TokensPerMinute: float64(rapid.SampledFrom([]int{0, 60, 6000}).Draw(t, "per minute")), InFlight: int64(rapid.IntRange(0, 2).Draw(t, "of it in flight")),
			})
		}
	}
	for _, path := range m.counted {
		if s.Register || s.Full || rapid.Bool().Draw(t, "states the group's figures") {
			st := store.Limited{Group: path, InFlight: int64(rapid.IntRange(0, 2).Draw(t, "in the group in flight"))}
			if m.maxima {
				st.MaxInFlight = int64(rapid.IntRange(0, 3).Draw(t, "most in the group"))
				st.MaxSlots = rapid.SampledFrom([]float64{0, 0, 0.5, 2.5}).Draw(t, "most slots")
			}
			if m.floors {
				st.Guaranteed = rapid.SampledFrom([]float64{store.NoOpinion, 0, 0.3, 1, 1.5}).Draw(t, "the group is guaranteed")
				if s.Register {
					st.Owed = float64(rapid.IntRange(-1, 4).Draw(t, "owed to the group"))
				}
			}
			s.Limited = append(s.Limited, st)
		}
	}
	if !s.Register {
		s.Float = min(m.float, int64(rapid.IntRange(0, 3).Draw(t, "float")))
	}
	if m.lined > 0 && rapid.IntRange(0, 2).Draw(t, "one goes from the line") == 0 {
		m.lined--
	}
	if s.Register {
		m.lined = 0
	}
	s.InLine, s.WantLine = m.lined, int64(rapid.IntRange(0, 3).Draw(t, "line wanted"))
	s.WantFloat = s.Float + int64(rapid.IntRange(0, 3).Draw(t, "float wanted"))
	m.drawLoads(s, t)
	m.drawGroups(s, t)
	m.number++
	s.Number = m.number
	if m.register || m.full {
		for i := range m.order {
			o := &m.order[i]
			if m.standing[o.Ticket] {
				m.restate(t, o)
				s.Offers = append(s.Offers, *o)
			}
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "offers") {
		h.tickets++
		o := store.Offer{
			Ticket:   policies.TicketID{Ingress: rapid.SampledFrom([]string{m.id, m.id, "r0", "gone"}).Draw(t, "ingress"), Seq: uint64(h.tickets)},
			Flow:     rapid.SampledFrom([]string{"a", "b", "c%", "d\n", fmt.Sprint("new-", h.tickets)}).Draw(t, "flow"),
			Priority: rapid.SampledFrom([]int{5, 0, -1}).Draw(t, "priority"),
			Rank:     float64(rapid.IntRange(0, 8).Draw(t, "rank")), Charge: float64(rapid.IntRange(1, 3).Draw(t, "charge")) / 3,
			Score: float64(rapid.IntRange(-3, 30).Draw(t, "score")), Idle: rapid.Bool().Draw(t, "idle"),
			Tokens: float64(rapid.SampledFrom([]int{0, 0, 1, 45}).Draw(t, "tokens")) / 3,
		}
		if rapid.Bool().Draw(t, "in a group") {
			o.Group, o.IdleGroups = rapid.SampledFrom(groups).Draw(t, "group"), rapid.IntRange(0, 2).Draw(t, "idle groups")
		}
		o.Weight, o.Prefer = weights[o.Flow], rapid.SampledFrom([]string{"", "", "10.0.0.1:80", "10.0.0.2:80", "c%", "elsewhere\n"}).Draw(t, "preferred")
		if len(m.order) > 0 && rapid.IntRange(0, 9).Draw(t, "moved") == 0 { // another owner's ticket
			from := rapid.SampledFrom(h.parties).Draw(t, "from")
			if n := len(from.order); n > 0 {
				o = from.order[rapid.IntRange(0, n-1).Draw(t, "which")]
			}
		}
		if m.standing[o.Ticket] {
			continue
		}
		s.Offers = append(s.Offers, o)
		m.order = append(slices.DeleteFunc(m.order, func(old store.Offer) bool { return old.Ticket == o.Ticket }), o)
		m.standing[o.Ticket] = true
	}
	if !s.Register && !s.Full {
		fresh := map[policies.TicketID]bool{}
		for _, o := range s.Offers {
			fresh[o.Ticket] = true
		}
		for _, o := range m.order {
			if m.standing[o.Ticket] && !fresh[o.Ticket] && rapid.IntRange(0, 15).Draw(t, "withdraw") == 0 {
				s.Withdrawn = append(s.Withdrawn, o.Ticket)
				delete(m.standing, o.Ticket)
			}
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "settle") == 0 {
		m.batch++
		s.Batch = m.batch
		s.Settlements = []store.Settlement{{
			Flow:     rapid.SampledFrom([]string{"a", "b"}).Draw(t, "settled"),
			Priority: rapid.SampledFrom([]int{0, 5}).Draw(t, "settled at"), Policy: "fair",
			Delta: float64(rapid.IntRange(-2, 4).Draw(t, "delta")), Counter: 3,
			Tokens: float64(rapid.IntRange(-40, 40).Draw(t, "settled tokens")) / 3,
			Weight: float64(rapid.IntRange(0, 2).Draw(t, "settled for a weight")),
			Last:   float64(rapid.IntRange(0, 2).Draw(t, "by float")),
			Group:  rapid.SampledFrom(append(groups, "", "unknown")).Draw(t, "settled in"), Service: float64(rapid.IntRange(-2, 4).Draw(t, "service")),
		}}
		if st := &s.Settlements[0]; st.Last > 0 {
			st.Service = max(0, st.Service) // what went is not taken back so
		}
	}
	if s.Register && rapid.Bool().Draw(t, "remembers") {
		s.Bands[1].Owed = float64(rapid.IntRange(-3, 9).Draw(t, "owed"))
		s.Bands[1].VirtualTime, s.Bands[1].Level = float64(rapid.IntRange(0, 5).Draw(t, "V")), float64(rapid.IntRange(0, 5).Draw(t, "level"))
		s.Counters = []store.Counter{{
			Flow: "a", Priority: 0, Value: float64(rapid.IntRange(0, 9).Draw(t, "told")), Group: rapid.SampledFrom([]string{"", "x"}).Draw(t, "told in"),
		}}
	}
	if rapid.IntRange(0, 19).Draw(t, "suspects") == 0 {
		s.Dead = []string{"r2"}
	}
	if rapid.IntRange(0, 9).Draw(t, "a process ended") == 0 {
		s.Ended = []store.Run{{Replica: rapid.SampledFrom([]string{"r0", "r2"}).Draw(t, "of"), Incarnation: uint64(rapid.IntRange(0, 2).Draw(t, "run"))}}
	}
	s.Longest = time.Duration(rapid.SampledFrom([]int{0, 100, 2000}).Draw(t, "longest")) * time.Millisecond
	s.Leave = rapid.IntRange(0, 29).Draw(t, "leaves") == 0
	s.WantHolders = rapid.IntRange(0, 3).Draw(t, "asks for holders") == 0
	for i := range s.Bands {
		s.Bands[i].Queued = int64(rapid.IntRange(0, 3).Draw(t, "queued"))
		s.Bands[i].Largest = float64(s.Bands[i].Queued) / 3
	}
	return s
}

// drawGuarantees makes up what the member's bands are guaranteed.
func (m *member) drawGuarantees(t *rapid.T) {
	for i := range m.bands {
		m.bands[i].Guaranteed = rapid.SampledFrom([]float64{0, 0, 0.16, 1, 1.5}).Draw(t, "guaranteed")
	}
}

// drawGroups makes up what the member states of groups.
func (m *member) drawGroups(s *store.Statement, t *rapid.T) {
	for _, path := range groups {
		if !rapid.Bool().Draw(t, "states the group") {
			continue
		}
		g := store.Group{
			Priority: rapid.SampledFrom([]int{5, 0, -1}).Draw(t, "at"), Path: path, Weight: rapid.SampledFrom([]float64{0, 1, 2, 0.5}).Draw(t, "group's weight"),
		}
		if s.Register {
			g.Known, g.Counter = rapid.Bool().Draw(t, "known"), float64(rapid.IntRange(0, 9).Draw(t, "served"))
			g.VirtualTime, g.Level = float64(rapid.IntRange(0, 5).Draw(t, "V in it")), float64(rapid.IntRange(0, 5).Draw(t, "level in it"))
		}
		s.Groups = append(s.Groups, g)
	}
}

// drawLoads makes up what the member states of its endpoints.
func (m *member) drawLoads(s *store.Statement, t *rapid.T) {
	s.WantLoads = true
	if m.bounded {
		s.Capacity = rapid.SampledFrom([]int64{0, 3, 4, 18}).Draw(t, "capacity of all")
	}
	for _, endpoint := range []string{"10.0.0.1:80", "10.0.0.2:80", "c%"} {
		if s.Register || s.Full || rapid.IntRange(0, 3).Draw(t, "load") == 0 {
			if n := int64(rapid.IntRange(store.Gone, 3).Draw(t, "at it")); n >= 0 || !s.Register {
				load := store.Load{Endpoint: endpoint, InFlight: n}
				if n > 0 {
					load.Tokens = int64(rapid.IntRange(0, 2).Draw(t, "tokens"))
				}
				if m.bounded && n >= 0 {
					load.Capacity = rapid.SampledFrom([]int64{0, store.Closed, 1, 2, 2, 9, 9}).Draw(t, "capacity")
					load.Permits = int64(rapid.IntRange(0, 2).Draw(t, "permits"))
					load.Wanted = load.Permits + int64(rapid.IntRange(0, 3).Draw(t, "permits wanted"))
				}
				s.Loads = append(s.Loads, load)
			}
		}
	}
}

// land ends the request that has been in flight longest.
func (m *member) land() {
	for i := range m.bands {
		if m.bands[i].Priority == m.flying[0].Priority {
			m.bands[i].InFlight--
		}
	}
	m.flying = m.flying[1:]
}

// take takes in an answer.
func (m *member) take(s *store.Statement, reply *store.Reply) {
	m.generation, m.float = reply.Generation, reply.Float
	if reply.Status == store.Register {
		m.register, m.read, m.answered = true, 0, 0
		return
	}
	m.register, m.full, m.answered = s.Leave, false, s.Number
	for _, message := range reply.Messages {
		if message.Number <= m.read {
			continue
		}
		m.read = message.Number
		if message.Kind&store.Lined != 0 {
			m.lined++
		}
		if message.Ticket == (policies.TicketID{}) {
			m.lined = max(0, m.lined-1)
		}
		if message.Kind&^store.Granted != 0 {
			delete(m.standing, message.Ticket)
		}
		if message.Kind&store.Granted != 0 {
			m.flying = append(m.flying, message)
			for i := range m.bands {
				if m.bands[i].Priority == message.Priority {
					m.bands[i].InFlight++
				}
			}
		}
	}
	if s.Leave {
		m.read, m.answered, m.generation = 0, 0, 0
	}
}
