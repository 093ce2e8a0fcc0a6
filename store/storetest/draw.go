package storetest

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

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
	m.drawSheddable(s, t)
	m.drawLimited(s, t)
	m.drawAhead(s, t)
	m.drawLoads(s, t)
	m.drawGroups(s, t)
	m.number++
	s.Number = m.number
	m.drawOffers(s, h)
	m.drawWithdrawn(s, t)
	m.drawSettlements(s, t)
	m.drawRemembered(s, t)
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
		s.Bands[i].Wanted = s.Bands[i].InFlight + int64(rapid.IntRange(0, 3).Draw(t, "wanted"))
		s.Bands[i].Largest = float64(s.Bands[i].Queued) / 3
	}
	return s
}

// drawSheddable draws the requests of the member that may be revoked, if it says so.
func (m *member) drawSheddable(s *store.Statement, t *rapid.T) {
	if s.Evicts = rapid.Bool().Draw(t, "evicts"); s.Evicts {
		s.Revoking = int64(rapid.IntRange(0, 1).Draw(t, "revoking"))
		for n := range rapid.IntRange(0, 3).Draw(t, "sheddable") {
			s.Sheddable = append(s.Sheddable, store.Sheddable{
				Seq: uint64(n + 1), Priority: rapid.IntRange(-3, 1).Draw(t, "of priority"), Score: float64(rapid.IntRange(-2, 2).Draw(t, "place")),
				Group: rapid.SampledFrom([]string{"", "x", "x/y%"}).Draw(t, "of group"),
			})
		}
	}
}

// drawLimited draws what it says of flows and groups with limits.
func (m *member) drawLimited(s *store.Statement, t *rapid.T) {
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
}

// drawAhead draws its float and its line.
func (m *member) drawAhead(s *store.Statement, t *rapid.T) {
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
}

// drawOffers draws new offers; some were another owner's. One that repeats in full states those
// that stand before them.
func (m *member) drawOffers(s *store.Statement, h *history) {
	t := h.t
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
}

// drawWithdrawn draws which standing offers it takes back.
func (m *member) drawWithdrawn(s *store.Statement, t *rapid.T) {
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
}

// drawSettlements draws what became of a charge, now and then.
func (m *member) drawSettlements(s *store.Statement, t *rapid.T) {
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
}

// drawRemembered draws what one that registers tells of the time before.
func (m *member) drawRemembered(s *store.Statement, t *rapid.T) {
	if s.Register && rapid.Bool().Draw(t, "remembers") {
		s.Bands[1].Owed = float64(rapid.IntRange(-3, 9).Draw(t, "owed"))
		s.Bands[1].VirtualTime, s.Bands[1].Level = float64(rapid.IntRange(0, 5).Draw(t, "V")), float64(rapid.IntRange(0, 5).Draw(t, "level"))
		s.Counters = []store.Counter{{
			Flow: "a", Priority: 0, Value: float64(rapid.IntRange(0, 9).Draw(t, "told")), Group: rapid.SampledFrom([]string{"", "x"}).Draw(t, "told in"),
		}}
	}
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
