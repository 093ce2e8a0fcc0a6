package storetest

import (
	"context"
	"fmt"
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
	case 4:
		for i := range m.bands {
			m.bands[i].Weight = rapid.SampledFrom([]float64{0, 1, 1, 3}).Draw(t, "weight of the band")
		}
	case 5:
		m.pace = rapid.SampledFrom([]time.Duration{0, 20 * time.Millisecond, 700 * time.Millisecond}).Draw(t, "pace")
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
	c.Yields = append([]store.Yield{}, r.Yields...)
	return &c
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
