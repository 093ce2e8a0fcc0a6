package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

var errNotObject = errors.New("it is not a JSON object")

// members calls visit with the name and the text of each member of a JSON object, in its
// order. Names are as a model server reads them: with their escapes undone, and distinct
// where their letters' case is. The texts are parts of the data and no copies.
func members(data []byte, visit func(name string, value []byte)) error {
	if !json.Valid(data) {
		var v json.RawMessage
		return json.Unmarshal(data, &v) // says what is wrong, and where
	}
	p := scanner{data: data}
	if p.space(); p.data[p.at] != '{' {
		return errNotObject
	}
	for p.at++; ; p.at++ {
		if p.space(); p.data[p.at] == '}' {
			return nil
		}
		name := p.name()
		p.space()
		p.at++ // the colon
		p.space()
		begin := p.at
		p.skip()
		visit(name, p.data[begin:p.at])
		if p.space(); p.data[p.at] == '}' {
			return nil
		}
	}
}

// elements counts the elements of a JSON array; a text that is none has -1.
func elements(value []byte) int {
	if len(value) == 0 || value[0] != '[' {
		return -1
	}
	p := scanner{data: value, at: 1}
	for n := 0; ; n++ {
		if p.space(); p.data[p.at] == ']' {
			return n
		}
		p.skip()
		if p.space(); p.data[p.at] == ']' {
			return n + 1
		}
		p.at++ // the comma
	}
}

// scanner walks over a text that is known to be valid JSON.
type scanner struct {
	data []byte
	at   int
}

func (p *scanner) space() {
	for p.at < len(p.data) && bytes.IndexByte([]byte(" \t\r\n"), p.data[p.at]) >= 0 {
		p.at++
	}
}

// name reads a member's name.
func (p *scanner) name() string {
	begin := p.at
	p.text()
	quoted := p.data[begin:p.at]
	if !bytes.ContainsFunc(quoted, func(c rune) bool { return c == '\\' || c >= utf8.RuneSelf }) {
		return string(quoted[1 : len(quoted)-1])
	}
	var name string
	if err := json.Unmarshal(quoted, &name); err != nil {
		panic(err) // it is valid
	}
	return name
}

// text passes over a string.
func (p *scanner) text() {
	for p.at++; p.data[p.at] != '"'; p.at++ {
		if p.data[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
}

// skip passes over a value.
func (p *scanner) skip() {
	depth := 0
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case '"':
			p.text()
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return // it ends what the value is in
			}
			if depth--; depth == 0 {
				p.at++
				return
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return
			}
		}
		p.at++
	}
}
