package memory

import (
	"time"

	"github.com/weirflow/weir/store"
)

// answer fills in the replica's reply.
func (l *Ledger) answer(r *replica, s *store.Statement, now time.Time) *store.Reply {
	reply := &r.reply
	*reply = store.Reply{
		Generation: l.generation, Applied: r.last, Now: now, Recovering: l.recovering,
		Messages: reply.Messages[:0], Bands: reply.Bands[:0], Loads: reply.Loads, Lost: reply.Lost[:0], Groups: reply.Groups[:0],
		Permits: reply.Permits[:0], Short: reply.Short[:0], Yields: reply.Yields[:0],
		InFlight: l.held - l.float, OutOfUse: l.loads.outOfUse(), Queued: l.queued, QueuedBytes: l.bytes, Members: len(l.replicas), Float: r.float, InLine: l.inLine,
	}
	for i := range r.unread {
		reply.Messages = append(reply.Messages, r.unread[i].Message)
	}
	for i := range s.Bands {
		bd := find(l.bands, s.Bands[i].Priority)
		if bd == nil {
			continue
		}
		total := store.BandTotal{Priority: bd.priority, Queued: bd.queued, QueuedBytes: bd.bytes, InFlight: bd.inFlight, Limit: bd.limit}
		total.Guaranteed, total.Owed, total.Got, total.Below = bd.share.Slots, bd.share.Owed, bd.share.Got, bd.share.Below
		if b := bd.named(s.Bands[i].Policy); b != nil {
			total.VirtualTime, total.Level = b.v/b.scale, b.level/b.scale
		}
		reply.Bands = append(reply.Bands, total)
	}
	for _, bd := range l.bands { // highest priority first
		if bd.queued > 0 {
			reply.Lowest = bd.priority
		}
	}
	l.namePassing(reply, r, now)
	l.nameLost(reply, now)
	l.nameShort(reply, now)
	return reply
}

// holders fills in what flows hold of the buffer elsewhere.
func (l *Ledger) holders(reply *store.Reply, r *replica) {
	for _, other := range l.replicas {
		if other == r {
			continue
		}
		for i := range other.bands {
			for j := range reply.Bands {
				if b := &reply.Bands[j]; b.Priority == other.bands[i].Priority {
					b.Largest = max(b.Largest, other.bands[i].Largest)
				}
			}
		}
	}
}

// notify wakes every replica that got messages.
func (l *Ledger) notify() {
	for _, r := range l.replicas {
		if r.sent == r.seen && !r.recall {
			continue
		}
		w := r.wakeup()
		r.recall = false
		r.seen = r.sent
		for _, ch := range l.wakeups[r.id] {
			select {
			case ch <- w:
			default: // it has enough to be woken by
			}
		}
	}
}
