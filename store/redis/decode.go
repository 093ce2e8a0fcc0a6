package redis

import (
	"cmp"
	"errors"
	"fmt"
	"math"
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
		if x, err := strconv.ParseFloat(v, 64); err == nil && math.Abs(x) < 1<<63 { // an integer written with an exponent
			return int64(x)
		}
	}
	r.fail(what, v)
	return 0
}

func (r *reader) micros(what string, v any) time.Duration {
	return time.Duration(r.integer(what, v)) * time.Microsecond
}

func (r *reader) number(what string, v any) float64 {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case string:
		if x, err := strconv.ParseFloat(v, 64); err == nil && !math.IsNaN(x) {
			return x
		}
	}
	r.fail(what, v)
	return 0
}

// items takes off a list that stands behind how many items it has, of so many fields each.
func (r *reader) items(what string, fields int, v []any) (items, rest []any) {
	if r.err != nil {
		return nil, nil
	}
	if len(v) == 0 {
		r.fail(what, v)
		return nil, nil
	}
	n := r.integer(what, v[0])
	if n < 0 || n > int64(len(v)-1)/int64(fields) {
		r.fail(what, v[0])
		return nil, nil
	}
	end := 1 + int(n)*fields
	return v[1:end], v[end:]
}

func (r *reader) flag(what string, v any) bool { return r.integer(what, v) == 1 }

func (r *reader) text(what string, v any) string {
	s, ok := v.(string)
	if !ok {
		r.fail(what, v)
	}
	return s
}

func (r *reader) name(what string, v any) string { return unescape(r.text(what, v)) }

func (r *reader) hex(what string, v any) uint64 {
	x, err := strconv.ParseUint(r.text(what, v), 16, 64)
	if err != nil {
		r.fail(what, v)
	}
	return x
}

func (r *reader) ticket(what string, v any) policies.TicketID {
	seq, ingress, _ := strings.Cut(r.text(what, v), ":")
	return policies.TicketID{Ingress: unescape(ingress), Seq: r.hex(what, seq)}
}

// pair is a name and its number.
type pair struct {
	name  string
	value float64
}

func (r *reader) pairs(what string, list []any) []pair {
	pairs := make([]pair, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		pairs = append(pairs, pair{r.name(what, list[i]), r.number(what, list[i+1])})
	}
	return pairs
}

// reply is what the script answers, before it is made a [store.Reply].
type reply struct {
	store.Reply
	now           int64   // in microseconds
	loads, tokens []pair  // of endpoints
	places        []place // what they take, and the permits there
}

// place is what an endpoint takes.
type place struct {
	Endpoint          string
	Capacity, Permits int64
}

// mostTurns is the largest number of a turn or of a message that is believed. A replica numbers
// on from there, and the script counts exactly to twice that.
const mostTurns = 1 << 52

// plausible fails for a reply that has what no turn answers, and would be kept: the status, the
// numbers of turns, of members and of messages, of which none are missing between others.
func (r *reader) plausible(m *reply) {
	if m.Status != store.OK && m.Status != store.Register {
		r.fail("status", m.Status)
	}
	if m.Applied > mostTurns {
		r.fail("applied", m.Applied)
	}
	if m.Members < 0 || m.Members > store.MaxCapacity {
		r.fail("members", m.Members)
	}
	for i := range m.Messages {
		if n := m.Messages[i].Number; n > mostTurns || i > 0 && n != m.Messages[i-1].Number+1 {
			r.fail("message", n)
		}
	}
}

// decode reads what the script answered.
func decode(result []any) (*store.Reply, error) {
	r := &reader{}
	m := r.reply(result)
	r.plausible(&m)
	if r.err != nil {
		return nil, r.err
	}
	m.Now = time.UnixMicro(m.now).UTC()
	tokens := make(map[string]int64, len(m.tokens))
	for _, t := range m.tokens {
		tokens[t.name] = int64(t.value)
	}
	places := make(map[string]*place, len(m.places))
	for i := range m.places {
		places[m.places[i].Endpoint] = &m.places[i]
	}
	for _, l := range m.loads { // the fraction says when it was last suggested
		load := store.Load{Endpoint: l.name, InFlight: int64(l.value), Tokens: tokens[l.name]}
		if p := places[l.name]; p != nil {
			load.Capacity, load.Permits = p.Capacity, p.Permits
		}
		m.Loads = append(m.Loads, load)
	}
	slices.SortFunc(m.Loads, func(a, b store.Load) int {
		return cmp.Or(cmp.Compare(a.InFlight, b.InFlight), cmp.Compare(a.Endpoint, b.Endpoint))
	})
	return &m.Reply, nil
}

// decodeWakeup reads what the script published. What cannot be read still wakes.
func decodeWakeup(payload string) store.Wakeup {
	lines := strings.Split(payload, "\n")
	r := &reader{}
	w := r.wakeup(lines[0])
	for _, record := range lines[1:] {
		w.Messages = append(w.Messages, r.message(record))
	}
	if r.err != nil {
		return store.Wakeup{}
	}
	return w
}
