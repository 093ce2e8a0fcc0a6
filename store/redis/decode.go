package redis

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// errReply wraps an answer of the script that cannot be read.
var errReply = errors.New("unreadable reply of the ledger's script")

// reader reads a reply's fields in order and remembers the first that is wrong.
type reader struct{ err error }

func (r *reader) fail(what string, v any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s is %.100v", errReply, what, v)
	}
}

func (r *reader) integer(what string, v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
		if x, err := strconv.ParseFloat(v, 64); err == nil { // an integer written with an exponent
			return int64(x)
		}
	}
	r.fail(what, v)
	return 0
}

func (r *reader) number(what string, v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case string:
		if x, err := strconv.ParseFloat(v, 64); err == nil {
			return x
		}
	}
	r.fail(what, v)
	return 0
}

func (r *reader) list(what string, v any) []any {
	l, ok := v.([]any)
	if !ok {
		r.fail(what, v)
	}
	return l
}

// decode reads what the script answered.
func decode(result []any) (*store.Reply, error) {
	if len(result) != 14 {
		return nil, fmt.Errorf("%w: %d fields", errReply, len(result))
	}
	r := &reader{}
	reply := &store.Reply{
		Status:      store.Status(r.integer("status", result[0])),
		Generation:  uint64(r.integer("generation", result[1])),
		Now:         time.UnixMicro(r.integer("time", result[2])).UTC(),
		Recovering:  r.integer("recovering", result[3]) == 1,
		InFlight:    r.integer("in flight", result[4]),
		Queued:      r.integer("queued", result[5]),
		QueuedBytes: r.integer("queued bytes", result[6]),
		Members:     int(r.integer("members", result[7])),
	}
	for _, v := range r.list("bands", result[8]) {
		b := r.list("band", v)
		if len(b) != 5 {
			r.fail("band", v)
			break
		}
		reply.Bands = append(reply.Bands, store.BandTotal{
			Priority: int(r.integer("priority", b[0])), VirtualTime: r.number("V", b[1]),
			Queued: r.integer("queued", b[2]), QueuedBytes: r.integer("bytes", b[3]), InFlight: r.integer("in flight", b[4]),
		})
	}
	for _, v := range r.list("messages", result[9]) {
		record, _ := v.(string)
		reply.Messages = append(reply.Messages, r.message(record))
	}
	for _, v := range r.list("revoke", result[10]) {
		seq, _ := v.(string)
		n, err := strconv.ParseUint(seq, 16, 64)
		if err != nil {
			r.fail("revoke", v)
		}
		reply.Revoke = append(reply.Revoke, n)
	}
	for _, v := range r.list("rooms", result[11]) {
		m := r.list("room", v)
		if len(m) != 2 {
			r.fail("room", v)
			break
		}
		room := store.Room{InFlight: r.integer("room in flight", m[0]), Tokens: r.number("tokens", m[1])}
		if room.InFlight > 1<<40 {
			room.InFlight = store.Unlimited
		}
		reply.Rooms = append(reply.Rooms, room)
	}
	tokens := make(map[string]int64)
	counts := r.list("tokens", result[13])
	for i := 0; i+1 < len(counts); i += 2 {
		endpoint, _ := counts[i].(string)
		tokens[endpoint] = r.integer("tokens", counts[i+1])
	}
	loads := r.list("loads", result[12])
	for i := 0; i+1 < len(loads); i += 2 {
		endpoint, _ := loads[i].(string)
		reply.Loads = append(reply.Loads, store.Load{Endpoint: unescape(endpoint), InFlight: int64(r.number("load", loads[i+1])), Tokens: tokens[endpoint]})
	}
	slices.SortFunc(reply.Loads, func(a, b store.Load) int {
		return cmp.Or(cmp.Compare(a.InFlight, b.InFlight), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return reply, r.err
}

// message reads one of the messages to a replica.
func (r *reader) message(record string) store.Message {
	f := strings.Split(record, "\x1f")
	if len(f) != 10 {
		r.fail("message", record)
		return store.Message{}
	}
	seq, ingress, _ := strings.Cut(f[2], ":")
	n, err := strconv.ParseUint(seq, 16, 64)
	if err != nil {
		r.fail("ticket", f[2])
	}
	return store.Message{
		Number: uint64(r.integer("message number", f[0])), Kind: store.MessageKind(r.integer("message kind", f[1])),
		Ticket:   policies.TicketID{Ingress: unescape(ingress), Seq: n},
		Priority: int(r.integer("priority", f[3])), Policy: unescape(f[4]), Flow: unescape(f[5]),
		Charge: r.number("charge", f[6]), Counter: r.number("counter", f[7]),
		Endpoint: unescape(f[8]), EndpointInFlight: r.integer("load", f[9]),
	}
}

// decodeWakeup reads what the script published. What cannot be read still wakes.
func decodeWakeup(payload string) (w store.Wakeup) {
	lines := strings.Split(payload, "\n")
	if len(lines) < 2 {
		return w
	}
	r := &reader{}
	w.Incarnation, w.Registered = uint64(r.integer("incarnation", lines[0])), uint64(r.integer("registered", lines[1]))
	for _, record := range lines[2:] {
		w.Messages = append(w.Messages, r.message(record))
	}
	if r.err != nil {
		return store.Wakeup{}
	}
	return w
}
