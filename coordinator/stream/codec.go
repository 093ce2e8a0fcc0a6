package stream

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// ErrMalformed wraps what is wrong with a message that cannot be accepted.
var ErrMalformed = errors.New("malformed message")

// encode puts a message on the wire. Its sender and receiver are known from the
// stream.
func encode(m *coordinator.Message) *ticketpb.Message {
	w := &ticketpb.Message{
		ToIncarnation: m.ToIncarnation, Number: m.Number, Full: m.Full, Gone: m.Gone,
		Acknowledged: m.Acknowledged, Resync: m.Resync, Rejected: m.Rejected, Unserved: m.Unserved, Declined: m.Declined, Offered: m.Offered, Came: m.Came,
		Leaving: m.Leaving, LedgerLost: m.LedgerLost, Turn: int64(m.Turn), Pool: m.Pool, ServesAll: m.ServesAll,
	}
	for _, s := range m.Serves {
		w.Serves = append(w.Serves, &ticketpb.Serving{Pool: s.Pool, Ledger: s.Ledger, Settings: s.Settings, Leaving: s.Leaving, Ended: s.Ended})
	}
	for _, why := range m.Refusals {
		w.Refusals = append(w.Refusals, &ticketpb.Refusal{Cause: uint32(why.Cause), After: int64(why.After)})
	}
	tickets := make([]ticketpb.Ticket, len(m.Queued))
	for i := range m.Queued {
		t, q := &tickets[i], &m.Queued[i]
		t.Seq, t.Flow, t.Priority = q.ID.Seq, q.Flow.ID, int64(q.Flow.Priority)
		t.Sharer, t.Bytes, t.InputTokens, t.OutputTokens = q.Sharer, q.Bytes, q.InputTokens, q.OutputTokens
		t.Arrival, t.Deadline, t.Waited, t.TargetTtft = nanos(q.Arrival), nanos(q.Deadline), q.Waited, int64(q.TargetTTFT)
		t.Prefer, t.Traced, t.Ahead, t.ExpectedHold = preferred(q.Prefer), q.Traced, q.Ahead, int64(q.ExpectedHold)
		w.Queued = append(w.Queued, t)
	}
	return w
}

// decode takes a message off the wire.
func decode(w *ticketpb.Message, from string, incarnation uint64, to string) (coordinator.Message, error) {
	m := coordinator.Message{
		From: from, Incarnation: incarnation, To: to,
		ToIncarnation: w.GetToIncarnation(), Number: w.GetNumber(), Full: w.GetFull(), Gone: w.GetGone(),
		Acknowledged: w.GetAcknowledged(), Resync: w.GetResync(), Rejected: w.GetRejected(), Unserved: w.GetUnserved(), Declined: w.GetDeclined(), Offered: w.GetOffered(), Came: w.GetCame(),
		Leaving: w.GetLeaving(), LedgerLost: w.GetLedgerLost(), Turn: min(max(0, time.Duration(w.GetTurn())), time.Hour), Pool: w.GetPool(), ServesAll: w.GetServesAll(),
	}
	if len(w.GetPool()) > maxID || len(w.GetServes()) > maxPools {
		return m, fmt.Errorf("%w: a pool's name of %d bytes, or %d pools; up to %d and %d are allowed", ErrMalformed, len(w.GetPool()), len(w.GetServes()), maxID, maxPools)
	}
	for _, s := range w.GetServes() {
		if len(s.GetPool()) > maxID || len(s.GetLedger()) > maxID || len(s.GetSettings()) > maxFlow {
			return m, fmt.Errorf("%w: a pool whose name, ledger or settings are too long", ErrMalformed)
		}
		m.Serves = append(m.Serves, coordinator.Serving{Pool: s.GetPool(), Ledger: s.GetLedger(), Settings: s.GetSettings(), Leaving: s.GetLeaving(), Ended: s.GetEnded()})
	}
	for _, why := range w.GetRefusals() {
		m.Refusals = append(m.Refusals, shard.Refusal{Cause: shard.Cause(why.GetCause()), After: min(max(0, time.Duration(why.GetAfter())), time.Hour)})
	}
	if len(w.GetQueued()) > 0 {
		m.Queued = make([]shard.Ticket, 0, len(w.GetQueued()))
	}
	for _, t := range w.GetQueued() {
		priority := int(t.GetPriority())
		switch {
		case len(t.GetFlow()) == 0 || len(t.GetFlow()) > maxFlow:
			return m, fmt.Errorf("%w: a flow id of %d bytes, from 1 to %d are allowed", ErrMalformed, len(t.GetFlow()), maxFlow)
		case len(t.GetSharer()) > maxFlow:
			return m, fmt.Errorf("%w: a sharer's id of %d bytes, up to %d are allowed", ErrMalformed, len(t.GetSharer()), maxFlow)
		case !within(t.GetBytes()) || !within(t.GetInputTokens()) || !within(t.GetOutputTokens()) || !within(t.GetTargetTtft()):
			return m, fmt.Errorf("%w: a ticket of %d bytes, %d and %d tokens, target %d; from 0 to 2^53 are allowed",
				ErrMalformed, t.GetBytes(), t.GetInputTokens(), t.GetOutputTokens(), t.GetTargetTtft())
		case t.GetArrival() > maxTime || t.GetDeadline() > maxTime:
			return m, fmt.Errorf("%w: a ticket from %v to %v, beyond the year 2255",
				ErrMalformed, fromNanos(t.GetArrival()), fromNanos(t.GetDeadline()))
		case int64(priority) != t.GetPriority() || priority > policies.MaxPriority || priority < policies.MinPriority:
			return m, fmt.Errorf("%w: priority %d", ErrMalformed, t.GetPriority())
		}
		m.Queued = append(m.Queued, shard.Ticket{
			ID:     policies.TicketID{Ingress: from, Seq: t.GetSeq()},
			Flow:   policies.FlowKey{ID: t.GetFlow(), Priority: priority},
			Sharer: t.GetSharer(),
			Bytes:  t.GetBytes(), InputTokens: t.GetInputTokens(), OutputTokens: t.GetOutputTokens(),
			Arrival: fromNanos(t.GetArrival()), Deadline: fromNanos(t.GetDeadline()), Waited: t.GetWaited(),
			TargetTTFT: time.Duration(t.GetTargetTtft()), Prefer: preferred(t.GetPrefer()), Traced: t.GetTraced(), Ahead: t.GetAhead(),
			ExpectedHold: min(max(0, time.Duration(t.GetExpectedHold())), time.Hour),
		})
	}
	return m, nil
}

// preferred is what a ticket prefers if it can be an endpoint's name: a wish is no reason to
// break a stream.
func preferred(endpoint string) string {
	if !named(endpoint) || !utf8.ValidString(endpoint) {
		return ""
	}
	return endpoint
}

// Bounds within which numbers mean the same everywhere, and can be added up: whatever is
// counted; and times, in nanoseconds, which the ledger counts in microseconds.
const (
	maxNumber = 1 << 53
	maxTime   = maxNumber * 1000
)

func within(n int64) bool { return n >= 0 && n <= maxNumber }

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromNanos(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

// hello says who this replica is.
func (s *Streams) hello(to string) *ticketpb.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &ticketpb.Message{Hello: &ticketpb.Hello{
		ProtocolVersion: coordinator.ProtocolVersion, Shards: uint32(s.cfg.Shards),
		Replica: s.cfg.Replica, Incarnation: s.cfg.Incarnation, To: to, Ledger: s.ledger,
	}}
}

// check refuses a replica that this one cannot work with.
func (s *Streams) check(h *ticketpb.Hello) error {
	switch {
	case h == nil:
		return fmt.Errorf("%w: a stream must begin with a hello", ErrMalformed)
	case h.GetReplica() == "" || len(h.GetReplica()) > maxID:
		return fmt.Errorf("%w: a replica id of %d bytes, from 1 to %d are allowed", ErrMalformed, len(h.GetReplica()), maxID)
	}
	err := acceptable(s.cfg.Replica, claim{Version: h.GetProtocolVersion(), Replica: h.GetReplica(), Incarnation: h.GetIncarnation()}, latest())
	if err != nil {
		return err
	}
	if h.GetTo() != "" && h.GetTo() != s.cfg.Replica {
		return fmt.Errorf("this is replica %q, not %q", s.cfg.Replica, h.GetTo())
	}
	if int(h.GetShards()) != s.cfg.Shards {
		return fmt.Errorf("replica %q has %d shards, this one %d: give all replicas the same number",
			h.GetReplica(), h.GetShards(), s.cfg.Shards)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.GetLedger() != "" && s.ledger != "" && h.GetLedger() != s.ledger {
		return fmt.Errorf("replica %q keeps another ledger: give both the same --redis, --redis-prefix and --pool, or one of them another --fleet", h.GetReplica())
	}
	return nil
}
