package simulation

import (
	"slices"
	"time"

	"github.com/weirflow/weir/controller/core"
	"github.com/weirflow/weir/coordinator"
)

// link is the network path from one replica to another.
type link struct{ from, to int }

// connected reports whether a stream between two replicas can work.
func (f *fleet) connected(a, b *node) bool {
	return a.alive && b.alive && !f.cut[link{a.index, b.index}] && !f.cut[link{b.index, a.index}]
}

// send takes a message to its replica, unless it is lost; it may come late, twice
// or after a later one.
func (f *fleet) send(from *node, m coordinator.Message) {
	if f.cfg.Break.Message != nil {
		f.cfg.Break.Message(&m)
	}
	to := f.byID[m.To]
	if to == nil || f.cut[link{from.index, to.index}] || f.rng.Float64() < f.cfg.MessageLoss {
		return
	}
	times := 1
	if f.rng.Float64() < f.cfg.MessageLoss {
		times = 2
	}
	for range times {
		delay := 50*time.Microsecond + f.upTo(100*time.Microsecond)
		if f.rng.Float64() < f.cfg.MessageLoss {
			delay += f.upTo(100 * time.Millisecond)
		}
		k := to.core
		copied := m
		copied.Queued = slices.Clone(m.Queued)
		f.after(delay, "", func() {
			to.do(k, func() {
				k.Receive(to.now(), &copied)
				to.pump()
			})
		})
	}
}

// gossip spreads that a replica came or went; each other replica learns it after a time
// of its own. A death takes longer to notice than the break of a stream.
func (f *fleet) gossip(about int, lives bool) {
	if f.cfg.Apart {
		return
	}
	for _, n := range f.nodes {
		if n.index == about {
			continue
		}
		delay := f.upTo(200 * time.Millisecond)
		if !lives {
			delay = 300*time.Millisecond + f.upTo(time.Second)
		}
		run := f.nodes[about].incarnation
		f.after(delay, "", func() {
			if other := f.nodes[about]; lives || !other.alive || other.incarnation == run { // it refutes what is said of an earlier run
				f.learn(n, about, lives)
			}
		})
		f.after(f.upTo(20*time.Millisecond), "", func() { f.restream(n, f.nodes[about]) })
	}
	if lives {
		f.after(f.upTo(200*time.Millisecond), "", func() { f.join(f.nodes[about]) })
	}
}

// join gives a replica that starts the list of all others at once, as the first exchange
// with one of them does.
func (f *fleet) join(n *node) {
	n.do(n.core, func() {
		for _, other := range f.nodes {
			if other != n && (other.alive || n.view[other.index]) {
				n.view[other.index] = other.alive
			}
		}
		n.members()
	})
}

// learn gives a replica what gossip says of another.
func (f *fleet) learn(n *node, about int, lives bool) {
	n.do(n.core, func() {
		if was, known := n.view[about]; known && was == lives && !lives {
			return
		}
		n.view[about] = lives
		n.members()
	})
}

// restream reports to both ends whether the stream between them works.
func (f *fleet) restream(a, b *node) {
	up := f.connected(a, b)
	for _, end := range []struct{ at, of *node }{{a, b}, {b, a}} {
		if !end.at.alive || !up && !end.at.streams[end.of.index] {
			continue
		}
		k := end.at.core
		end.at.do(k, func() {
			end.at.streams[end.of.index] = up
			k.SetStream(end.at.now(), end.of.id, up)
			end.at.pump()
		})
	}
}

// split cuts the network between two replicas, in one direction or both, and heals it
// later.
func (f *fleet) split(a, b *node, oneWay bool, d time.Duration) {
	f.severed = true
	ways := []link{{a.index, b.index}, {b.index, a.index}}
	if oneWay {
		ways = ways[:1]
	}
	for _, w := range ways {
		f.cut[w] = true
	}
	f.after(f.upTo(3*time.Second), "", func() { f.restream(a, b) })
	f.after(d, "heal", func() {
		for _, w := range ways {
			delete(f.cut, w)
		}
		f.after(f.upTo(time.Second), "", func() { f.restream(a, b) })
	})
}

// rumour lets gossip err at one replica about another.
func (f *fleet) rumour(n, about *node, d time.Duration) {
	f.learn(n, about.index, false)
	f.after(d, "rumour ends", func() { f.learn(n, about.index, about.alive) })
}

// gossipOf has every replica hear of strangers that came, or of fewer.
func (f *fleet) gossipOf(more int) {
	f.strangers += more
	for _, n := range f.nodes {
		if n.alive {
			n.do(n.core, n.members)
		}
	}
}

// moved takes note of a move of shards.
func (f *fleet) moved(m core.Move) {
	if f.now.Sub(f.began) < warm {
		return // it is still joining
	}
	f.moves++
	f.movedTickets += m.Tickets
}
