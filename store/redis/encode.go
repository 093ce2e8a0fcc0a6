package redis

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/store"
)

// settings are the ledger's settings, which go to the script with every turn.
type settings struct {
	store.Timings
	ttl     int64  // of every key, in milliseconds
	publish string // the command that wakes
	now     string // what takes the place of the server's clock
}

func (l *Ledger) settings() *settings {
	c := &settings{Timings: l.cfg.Timings, ttl: l.cfg.KeyTTL.Milliseconds(), publish: l.publish}
	if l.cfg.Clock != nil {
		c.now = strconv.FormatInt(l.cfg.Clock().UnixMicro(), 10)
	}
	return c
}

// bookName names a band's book under a policy.
func bookName(b *store.Band) string {
	policy := escape(b.Policy)
	return fmt.Sprintf("%d:%d:%s", b.Priority, len(policy), policy)
}

// items writes records as one text.
func items[T any](all []T, record func(*T) string) string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = record(&all[i])
	}
	return strings.Join(texts, itemSeparator)
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// number writes a number exactly, and without an exponent: not every Lua reads one behind a
// single digit, nor more digits than an integer has without a point.
func number(x float64) string {
	if math.Abs(x) < 1e15 && x == math.Trunc(x) {
		return strconv.FormatInt(int64(x), 10)
	}
	text := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(text, ".") && math.Abs(x) <= math.MaxFloat64 {
		text += ".0"
	}
	return text
}

func decimal[T ~int | ~int64](x T) string { return strconv.FormatInt(int64(x), 10) }

// padded writes a number so that texts compare as numbers do.
func padded(x uint64) string { return fmt.Sprintf("%020d", x) }

// hex does the same in 16 digits.
func hex(x uint64) string {
	var b [16]byte
	return string(hex16(b[:0], x))
}

// ticketKey writes a ticket's id so that keys sort as the ids compare.
func ticketKey(id policies.TicketID) string {
	return hex(id.Seq) + ":" + escape(id.Ingress)
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
	return hex(bits)
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
