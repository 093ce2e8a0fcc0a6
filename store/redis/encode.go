package redis

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// arguments writes the statement as the script reads it.
func (l *Ledger) arguments(s *store.Statement) []any {
	now := ""
	if l.cfg.Clock != nil {
		now = strconv.FormatInt(l.cfg.Clock().UnixMicro(), 10)
	}
	args := make([]any, 0, 32+9*len(s.Bands)+7*len(s.Offers)+len(s.Withdrawn)+5*len(s.Settlements)+3*len(s.Counters))
	add := func(values ...any) { args = append(args, values...) }
	add(ledgerFormat, l.cfg.KeyTTL.Milliseconds(), l.publish,
		l.cfg.Lease.Microseconds(), l.cfg.Recovery.Microseconds(), l.cfg.CounterIdle.Microseconds(), l.cfg.CounterKeep.Microseconds(),
		now, escape(s.Replica), fmt.Sprintf("%020d", s.Incarnation), s.Number, s.Answered, s.Generation, s.ReadUpTo, s.Members,
		flag(s.Register), flag(s.Full), flag(s.Alone), flag(s.Leave), s.Batch)
	add(flag(s.Evicts), s.Revoking)
	shed := make([]string, len(s.Sheddable))
	for i, v := range s.Sheddable {
		shed[i] = fmt.Sprintf("%d,%s,%016x", v.Priority, scoreKey(v.Score), v.Seq)
	}
	add(strings.Join(shed, ";"))
	add(len(s.Dead))
	for _, id := range s.Dead {
		add(escape(id))
	}
	add(len(s.Bands))
	for i := range s.Bands {
		b := &s.Bands[i]
		add(b.Priority, escape(b.Policy), flag(b.CountsService), flag(b.LiftsIdle), b.HalfLife.Microseconds(), b.Limit, b.InFlight, b.Queued, b.QueuedBytes, number(b.VirtualTime))
	}
	add(len(s.Limited))
	for i := range s.Limited {
		m := &s.Limited[i]
		add(strconv.Itoa(m.Priority)+":"+escape(m.Flow), m.MaxInFlight, number(m.TokensPerMinute), m.InFlight)
	}
	add(flag(s.WantLoads), len(s.Loads))
	for i := range s.Loads {
		add(escape(s.Loads[i].Endpoint), s.Loads[i].InFlight, s.Loads[i].Tokens)
	}
	add(len(s.Settlements))
	for i := range s.Settlements {
		st := &s.Settlements[i]
		add(escape(st.Flow), st.Priority, escape(st.Policy), number(st.Delta), number(st.Counter), number(st.Tokens))
	}
	add(len(s.Counters))
	for i := range s.Counters {
		c := &s.Counters[i]
		add(escape(c.Flow), c.Priority, number(c.Value))
	}
	add(len(s.Withdrawn))
	for _, id := range s.Withdrawn {
		add(ticketKey(id))
	}
	add(len(s.Offers))
	for i := range s.Offers {
		o := &s.Offers[i]
		add(ticketKey(o.Ticket), escape(o.Flow), o.Priority, number(o.Rank), number(o.Charge), scoreKey(o.Score), flag(o.Idle), number(o.Tokens))
	}
	return args
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// ticketKey writes a ticket's id so that keys sort as the ids compare.
func ticketKey(id policies.TicketID) string {
	var b [16]byte
	return string(hex16(b[:0], id.Seq)) + ":" + escape(id.Ingress)
}

// scoreKey writes a score in 16 hexadecimal digits that sort as the scores do:
// the bits of a float64, with the sign's turned, sort as integers; those of a
// negative one must be turned all.
func scoreKey(score float64) string {
	bits := math.Float64bits(score + 0) // no negative zero
	if bits&(1<<63) != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	var b [16]byte
	return string(hex16(b[:0], bits))
}

func hex16(b []byte, x uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[x>>shift&15])
	}
	return b
}

// escape keeps the separators of the script's records out of names: control
// characters and the escape character itself are written as %XX.
func escape(s string) string {
	clean := true
	for i := range len(s) {
		clean = clean && s[i] >= ' ' && s[i] != '%'
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
