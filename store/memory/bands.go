package memory

import (
	"slices"
	"time"

	"github.com/weirflow/weir/store"
)

// band is one priority: its books, one per policy.
type band struct {
	priority int
	limit    int64           // on requests in flight of all bands, for this one to go on
	stated   bool            // by a live replica
	inFlight int64           // granted and not finished, unread grants included
	share    store.Guarantee // and what of the pool it is guaranteed
	weighed  store.Weighed   // and what it has beside other bands
	over     bool            // in the turn under way, offers of it are passed over
	short    bool            // it reached no endpoint with room when a slot last went to another that shares
	queued   int64
	bytes    int64
	wanted   int64     // at the ingresses, as these state it
	offered  time.Time // when something was last offered, within offeredWithin
	books    []*book
	next     int // the book whose turn it is
}

// book returns the band's book under the stated policy, made if need be.
func (bd *band) book(s *store.Band) *book {
	b := bd.named(s.Policy)
	if b == nil {
		b = newBook(bd, s)
		bd.books = append(bd.books, b)
	}
	return b
}

// named returns the band's book of that name, or nil.
func (bd *band) named(policy string) *book {
	for _, b := range bd.books {
		if b.policy == policy {
			return b
		}
	}
	return nil
}

// first returns the offer that goes next in the group of that path, or of all for an empty
// one, from the books in turn, and where it is compared; nil if none waits.
func (bd *band) first(group string) (*node, *offer) {
	for range bd.books {
		n := bd.books[bd.next%len(bd.books)].waitsIn(group)
		for n != nil && n.waiting.Len() > 0 {
			f := n.waiting.Min()
			if f.group == nil {
				return n, f.offers.Min()
			}
			n = f.group
		}
		bd.next++
	}
	return nil, nil
}

// nodeNamed returns the group of that path in the book of that name, or the book's top, or
// nil.
func nodeNamed(bands []*band, priority int, policy, group string) *node {
	if bd := find(bands, priority); bd != nil {
		if b := bd.named(policy); b != nil {
			return b.known(group)
		}
	}
	return nil
}

// waits reports whether an offer of the band waits in the group of that path, or at all for
// an empty one: one in no group that is shut.
func (bd *band) waits(group string) bool {
	return slices.ContainsFunc(bd.books, func(b *book) bool { return b.waitsIn(group) != nil })
}

// standing is how many of them there are.
func (bd *band) standing(group string) (offers int64) {
	for _, b := range bd.books {
		if n := b.waitsIn(group); n != nil {
			offers += n.standing()
		}
	}
	return offers
}

// find returns the band of that priority, or nil.
func find(bands []*band, priority int) *band {
	for _, bd := range bands {
		if bd.priority == priority {
			return bd
		}
	}
	return nil
}
