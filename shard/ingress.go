package shard

import (
	"iter"

	"github.com/weirflow/weir/internal/list"
	"github.com/weirflow/weir/policies"
)

// ingress is the tickets that came in by one replica, in the order they came.
type ingress struct {
	tickets list.List[*item]
	len     int
	bytes   int64
	aside   map[*band]*aside // while it is short of room
}

func (i *ingress) add(it *item) {
	it.from, it.byIngress.Value = i, it
	i.tickets.PushBack(&it.byIngress)
	i.len++
	i.bytes += it.Bytes
}

func (i *ingress) remove(it *item) {
	it.byIngress.Remove()
	i.len--
	i.bytes -= it.Bytes
}

// Of returns the tickets that came in by an ingress, in the order they were
// added here.
func (s *Set) Of(ingress string) iter.Seq[policies.TicketID] {
	return func(yield func(policies.TicketID) bool) {
		if of := s.ingresses[ingress]; of != nil {
			for it := range of.tickets.All() {
				if !yield(it.ID) {
					return
				}
			}
		}
	}
}

// Held is how many of an ingress's tickets wait here, and their bytes.
func (s *Set) Held(ingress string) (tickets int, bytes int64) {
	if of := s.ingresses[ingress]; of != nil {
		return of.len, of.bytes
	}
	return 0, 0
}

// fromIngress notes which ingress the item came from.
func (s *Set) fromIngress(it *item) *ingress {
	of := s.ingresses[it.ID.Ingress]
	if of == nil {
		of = &ingress{}
		if s.isShort(it.ID.Ingress) {
			of.aside = make(map[*band]*aside)
		}
		s.ingresses[it.ID.Ingress] = of
	}
	of.add(it)
	return of
}

// Knows reports whether there is a band of the priority.
func (s *Set) Knows(priority int) bool { return s.find(priority) != nil }

// KnowsFlow reports whether there is a flow of the key.
func (s *Set) KnowsFlow(key policies.FlowKey) bool {
	bd := s.find(key.Priority)
	return bd != nil && bd.flows[key.ID] != nil
}
