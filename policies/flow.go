package policies

import (
	"cmp"
	"math"
	"strconv"
)

// Priorities go from MinPriority to MaxPriority, the range of a 32-bit number, so that they
// mean the same in every replica, in the ledger and in Kubernetes.
const (
	MinPriority = math.MinInt32
	MaxPriority = math.MaxInt32
)

// FlowKey names a flow: the traffic of one tenant at one priority.
type FlowKey struct {
	// ID is the tenant, as the request's fairness header gave it.
	ID string
	// Priority is the band. A higher number goes first; a negative one is
	// sheddable.
	Priority int
}

// String returns the key as "priority/id", for logs.
func (k FlowKey) String() string { return strconv.Itoa(k.Priority) + "/" + k.ID }

// TicketID names a waiting request across the whole fleet, for good: it stays
// the same when the request's flow moves to another owner.
type TicketID struct {
	// Ingress is the replica that holds the request's connection.
	Ingress string
	// Seq is unique within the ingress, over restarts too: a replica counts up
	// from its start time in nanoseconds.
	Seq uint64
}

// String returns the id as "ingress:seq".
func (id TicketID) String() string { return id.Ingress + ":" + strconv.FormatUint(id.Seq, 36) }

// Compare orders ids; it breaks the last tie wherever tickets are ordered, so
// that every replica breaks it the same way.
func (id TicketID) Compare(other TicketID) int {
	if c := cmp.Compare(id.Seq, other.Seq); c != 0 {
		return c
	}
	return cmp.Compare(id.Ingress, other.Ingress)
}
