package modelapi

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"unicode/utf8"
)

var errNotObject = errors.New("it is not a JSON object")

// members calls visit with the name and the text of each member of a JSON object, in its
// order, and fails, maybe after some calls, if the data is anything else. Names are as a
// model server reads them: with their escapes undone, and distinct where their letters'
// case is. Names and texts are parts of the data and not to be kept.
func members(data []byte, visit func(name, value []byte)) error {
	p := scanner{data: data}
	if !p.members(visit) {
		var v json.RawMessage
		if err := json.Unmarshal(data, &v); err != nil {
			return err // it says what is wrong, and where
		}
		return errNotObject
	}
	return nil
}

// elements counts the elements of a JSON array; a text that is none has -1.
func elements(value []byte) int {
	p := scanner{data: value}
	if p.peek() != '[' {
		return -1
	}
	p.at++
	if p.space() == ']' {
		return 0
	}
	for n := 1; p.value(); n++ {
		if p.space() != ',' {
			return n
		}
		p.at++
		p.space()
	}
	return -1
}

// scanner walks over a JSON text and finds whether it is one: as encoding/json would, in
// one pass over the text.
type scanner struct {
	data []byte
	at   int
}

// maxNesting is how deep values may be nested within the object, as in encoding/json.
const maxNesting = 9999

// peek is the byte that comes next; 0 at the end.
func (p *scanner) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

// space passes over white space and returns the byte that comes next.
func (p *scanner) space() byte {
	for ; p.at < len(p.data); p.at++ {
		if c := p.data[p.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// members passes over an object that is the whole text.
func (p *scanner) members(visit func(name, value []byte)) bool {
	if p.space() != '{' {
		return false
	}
	p.at++
	if p.space() == '}' {
		p.at++
		return p.end()
	}
	for {
		name, ok := p.name()
		if !ok {
			return false
		}
		begin := p.at
		if !p.value() {
			return false
		}
		visit(unescaped(name), p.data[begin:p.at])
		switch p.space() {
		case ',':
			p.at++
			p.space()
		case '}':
			p.at++
			return p.end()
		default:
			return false
		}
	}
}

// end reports whether nothing but white space is left.
func (p *scanner) end() bool {
	p.space()
	return p.at == len(p.data)
}

// name passes over a member's name, up to its value. It returns the name with its
// quotation marks.
func (p *scanner) name() (name []byte, ok bool) {
	begin := p.at
	if p.peek() != '"' || !p.text() {
		return nil, false
	}
	name = p.data[begin:p.at]
	if p.space() != ':' {
		return nil, false
	}
	p.at++
	p.space()
	return name, true
}

// unescaped is a quoted name as it is meant.
func unescaped(name []byte) []byte {
	for _, c := range name {
		if c == '\\' || c >= utf8.RuneSelf {
			var text string
			if err := json.Unmarshal(name, &text); err != nil {
				panic(err) // it is valid
			}
			return []byte(text)
		}
	}
	return name[1 : len(name)-1]
}

// value passes over a value, whatever is nested in it.
func (p *scanner) value() bool {
	var room [64]byte
	ends := room[:0] // of the objects and arrays that are open
	for {
		c := p.peek()
		switch {
		case c == '{' || c == '[':
			if len(ends) == maxNesting {
				return false
			}
			p.at++
			end := c + 2 // as it is in ASCII
			if p.space() == end {
				p.at++
				break
			}
			if ends = append(ends, end); end == '}' {
				if _, ok := p.name(); !ok {
					return false
				}
			}
			continue
		case !p.scalar(c):
			return false
		}
		for { // a value has ended, and maybe what it is in
			if len(ends) == 0 {
				return true
			}
			end := ends[len(ends)-1]
			c := p.space()
			if p.at++; c == end {
				ends = ends[:len(ends)-1]
				continue
			}
			if c != ',' {
				return false
			}
			p.space()
			if end == '}' {
				if _, ok := p.name(); !ok {
					return false
				}
			}
			break
		}
	}
}

// scalar passes over a value that begins with c and has no others in it.
func (p *scanner) scalar(c byte) bool {
	switch c {
	case '"':
		return p.text()
	case 't':
		return p.word("true")
	case 'f':
		return p.word("false")
	case 'n':
		return p.word("null")
	}
	return p.number()
}

func (p *scanner) word(w string) bool {
	if len(p.data)-p.at < len(w) || string(p.data[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *scanner) number() bool {
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return false
	}
	if p.peek() == '.' {
		if p.at++; !p.digits() {
			return false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		return p.digits()
	}
	return true
}

func (p *scanner) digits() bool {
	begin := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > begin
}

// text passes over a string.
func (p *scanner) text() bool {
	for p.at++; ; p.at++ {
		p.plain()
		switch c := p.peek(); {
		case c == '"':
			p.at++
			return true
		case c < ' ': // or the end
			return false
		case c == '\\':
			p.at++
			switch p.peek() {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					p.at++
					if c := p.peek(); !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
						return false
					}
				}
			default:
				return false
			}
		}
	}
}

// plain passes over what is only itself in a string, eight bytes at a time: it stops before
// a quotation mark, a backslash or a control character, or less than eight bytes before the
// end.
func (p *scanner) plain() {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; p.at+8 <= len(p.data); p.at += 8 {
		w := binary.LittleEndian.Uint64(p.data[p.at:])
		quote, slash := w^ones*'"', w^ones*'\\'
		// The lowest byte that is below a bound has its highest bit set in these.
		found := ((w - ones*' ') &^ w) | ((quote - ones) &^ quote) | ((slash - ones) &^ slash)
		if found &= highs; found != 0 {
			p.at += bits.TrailingZeros64(found) / 8
			return
		}
	}
}
