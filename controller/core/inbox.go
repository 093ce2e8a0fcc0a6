package core

import (
	"time"

	"github.com/weirflow/weir/store"
)

// inbox is the messages that the ledger leaves for this replica, numbered in each
// registration. Each is read once, in order, whether a reply or a wake-up brings it.
//
// Invariant: all messages up to readUpTo were read and none after it.
type inbox struct {
	bystander
	// read handles one message.
	read func(now time.Time, m *store.Message)

	readUpTo   uint64
	registered uint64 // the number of the statement that registered
}

// next reads the messages of a wake-up, and reports whether none before them is missing.
func (b *inbox) next(now time.Time, messages []store.Message) (complete bool) {
	for i := range messages {
		m := &messages[i]
		if m.Number > b.readUpTo+1 {
			return false
		}
		if m.Number > b.readUpTo {
			b.readUpTo++
			b.read(now, m)
		}
	}
	return true
}

// misses reports whether messages before these are missing, which were never read.
func (b *inbox) misses(messages []store.Message) bool {
	return len(messages) > 0 && messages[0].Number > b.readUpTo+1
}

// The inbox is a participant.

func (b *inbox) state(_ time.Time, s *store.Statement) { s.ReadUpTo = b.readUpTo }

func (b *inbox) learn(now time.Time, s *store.Statement, r *store.Reply) {
	if s.Register {
		b.registered = s.Number
	}
	for i := range r.Messages {
		if m := &r.Messages[i]; m.Number > b.readUpTo {
			b.readUpTo = m.Number
			b.read(now, m)
		}
	}
}
