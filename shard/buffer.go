package shard

import (
	"errors"
	"time"
)

// ErrFull says that the buffer is full and the newcomer's own flow holds most
// of it for its weight, or that the ticket alone is larger than a cap.
var ErrFull = errors.New("queue full")

// makeRoom displaces tickets until the caps are kept again. Within a band the
// flow that holds most of the buffer for its weight loses its newest ticket; at
// the cap over all bands, the lowest band loses so. A flow that floods the
// buffer thus pays for it itself.
func (s *Set) makeRoom(it *item, now time.Time) (displaced []Ticket, err error) {
	for {
		bd := it.flow.band
		if !bd.full() {
			if !s.full() {
				return displaced, nil
			}
			bd = s.lowest()
		}
		largest := bd.holders.Min()
		if it.flow.band == bd && it.flow.share >= largest.share {
			largest = it.flow // of equals, the newcomer is refused
		}
		victim := largest.newest
		s.remove(victim, now)
		if victim == it {
			return displaced, ErrFull
		}
		displaced = append(displaced, victim.Ticket)
	}
}

// full reports whether all bands together hold more than they may.
func (s *Set) full() bool {
	return s.cfg.MaxRequests > 0 && s.len+s.others > s.cfg.MaxRequests ||
		s.cfg.MaxBytes > 0 && s.bytes+s.othersBytes > s.cfg.MaxBytes
}

// lowest returns the lowest band with tickets; there is one.
func (s *Set) lowest() *band {
	for i := len(s.bands) - 1; ; i-- {
		if s.bands[i].len > 0 {
			return s.bands[i]
		}
	}
}
