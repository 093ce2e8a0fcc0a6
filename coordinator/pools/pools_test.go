package pools_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/pools"
)

// bus connects processes. What is sent arrives at once.
type bus struct{ links map[string]*link }

// link is a process's end of the bus. It implements pools.Fleet.
type link struct {
	bus      *bus
	id       string
	handler  coordinator.Handler
	listener coordinator.Listener
	cut      map[string]bool
}

func (l *link) Start(h coordinator.Handler) { l.handler = h }
func (l *link) Send(m coordinator.Message) {
	if to := l.bus.links[m.To]; to != nil && !l.cut[m.To] {
		m.From, m.Incarnation = l.id, 1
		to.handler.Received(m)
	}
}
func (l *link) Retire()                       {}
func (l *link) Ledger() string                { return "" }
func (l *link) SetLedger(string)              {}
func (l *link) Leave(context.Context) error   { return nil }
func (l *link) Listen(h coordinator.Listener) { l.listener = h }
func (l *link) Broadcast(o coordinator.Observations) {
	for id, to := range l.bus.links {
		if id != l.id {
			to.listener.Observed(o)
		}
	}
}

// seen is what a pool was told last. It implements coordinator.Handler and
// coordinator.Listener.
type seen struct {
	members  coordinator.Members
	streams  map[string]bool
	received []string
	observed int
	live     string
}

func (s *seen) MembersChanged(m coordinator.Members) { s.members = m }
func (s *seen) StreamChanged(peer string, up bool)   { s.streams[peer] = up }
func (s *seen) Received(m coordinator.Message) {
	s.received = append(s.received, fmt.Sprint(m.From, m.Number))
}
func (s *seen) Observed(coordinator.Observations) { s.observed++ }
func (s *seen) Live(ids []string)                 { s.live = strings.Join(ids, " ") }

// words are the members, in a word each: a replica that leaves has a minus, and one that differs the
// settings in which it does.
func (s *seen) words() string {
	var all []string
	for _, m := range s.members.Live {
		word := m.ID
		if m.Leaving {
			word += "-"
		}
		if m.Differs != "" {
			word += "!" + m.Differs
		}
		all = append(all, word)
	}
	for _, a := range s.members.Apart {
		all = append(all, "("+a.ID+")")
	}
	return strings.Join(all, " ")
}

// start starts a process with no pools yet.
func (b *bus) start(id string) *pools.Pools {
	l := &link{bus: b, id: id, cut: make(map[string]bool)}
	b.links[id] = l
	return pools.New(l, id)
}

// meet has all processes know of each other, and their streams be up.
func (b *bus) meet(streams bool) {
	var m coordinator.Members
	for id := range b.links {
		m.Live = append(m.Live, coordinator.Member{ID: id, Incarnation: 1})
	}
	slices.SortFunc(m.Live, func(x, y coordinator.Member) int { return strings.Compare(x.ID, y.ID) })
	for _, l := range b.links {
		l.handler.MembersChanged(m)
	}
	for _, l := range b.links {
		for id := range b.links {
			if streams && id != l.id {
				l.handler.StreamChanged(id, true)
			}
		}
	}
}

// join has a process join a pool.
func join(p *pools.Pools, pool, ledger string) (*pools.Pool, *seen) {
	s := &seen{streams: make(map[string]bool)}
	part := p.Pool(coordinator.Ledger{Pool: pool, Identity: ledger})
	part.Start(s)
	part.Listen(s)
	return part, s
}

// TestMembersHaveThePool wants those to be a pool's members that have it, as pools come and go,
// and those that have not said so yet.
func TestMembersHaveThePool(t *testing.T) {
	b := &bus{links: make(map[string]*link)}
	a, c, d := b.start("a"), b.start("c"), b.start("d")
	_, ax := join(a, "x", "X")
	cx, _ := join(c, "x", "X")
	_, cy := join(c, "y", "Y")
	_, dy := join(d, "y", "Y")
	check := func(what string, s *seen, want string) {
		t.Helper()
		if got := s.words(); got != want {
			t.Errorf("%s: the members are %q, want %q", what, got, want)
		}
	}
	b.meet(false)
	check("before anybody said anything", ax, "a c d")
	b.meet(true)
	check("x at a", ax, "a c")
	check("y at c", cy, "c d")
	check("y at d", dy, "c d")
	if ax.live != "a c" || !ax.streams["c"] {
		t.Errorf("live: %s; streams: %v", ax.live, ax.streams)
	}
	dx, dxs := join(d, "x", "X")
	check("x at a, once d has it", ax, "a c d")
	check("x at d", dxs, "a c d")
	if !dxs.streams["a"] {
		t.Error("a pool that comes later is not told which streams are up")
	}
	cx.SetSettings([]coordinator.Setting{{Key: "mr", Path: "flowControl.maxRequests", Print: "1"}})
	dx.SetSettings([]coordinator.Setting{{Key: "mr", Path: "flowControl.maxRequests", Print: "2"}})
	check("x at d, which has other settings than c", dxs, "a c!flowControl.maxRequests d")
	cx.Retire()
	check("x at a, once c retires", ax, "a c- d")
	_ = cx.Leave(t.Context())
	check("x at a, once c left", ax, "a d")
	check("y at d, which c still has", dy, "c d")
	dx.SetLedger("other")
	check("x at a, with d at another ledger", ax, "a (d)")
	dx.SetLedger("X")
	check("x at a, with d back", ax, "a d")
}

// TestMessagesFindTheirPool wants what one pool says to come to that pool alone.
func TestMessagesFindTheirPool(t *testing.T) {
	b := &bus{links: make(map[string]*link)}
	a, c := b.start("a"), b.start("c")
	ax, axs := join(a, "x", "X")
	ay, _ := join(a, "y", "Y")
	_, cx := join(c, "x", "X")
	b.meet(true)
	ax.Send(coordinator.Message{To: "c", Number: 7})
	ay.Send(coordinator.Message{To: "c", Number: 8})
	if got := strings.Join(cx.received, " "); got != "a7" {
		t.Errorf("x at c received %q, want a7", got)
	}
	ax.Broadcast(coordinator.Observations{})
	ay.Broadcast(coordinator.Observations{})
	if cx.observed != 1 || axs.observed != 0 {
		t.Errorf("%d and %d observations came, want 1 and 0", cx.observed, axs.observed)
	}
	b.links["a"].handler.StreamChanged("c", false)
	if axs.streams["c"] {
		t.Error("a pool is not told that a stream is down")
	}
}

// TestPeerRunsAnew wants a replica that runs anew to count until it says otherwise.
func TestPeerRunsAnew(t *testing.T) {
	b := &bus{links: make(map[string]*link)}
	a := b.start("a")
	_, ax := join(a, "x", "X")
	b.start("c")
	b.meet(true)
	if got := ax.words(); got != "a" {
		t.Errorf("members %q of a pool that the other does not have", got)
	}
	b.links["a"].handler.MembersChanged(coordinator.Members{Live: []coordinator.Member{{ID: "a", Incarnation: 1}, {ID: "c", Incarnation: 2}}})
	if got := ax.words(); got != "a c" {
		t.Errorf("members %q, want the new run until it says which pools it has", got)
	}
}
