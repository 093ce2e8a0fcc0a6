// Package resp holds what a server sends to what Redis's protocol and reason allow, before a
// client reads it. The client makes room for whatever length a server announces, and reads
// replies within replies for as deep as they go: a few bytes of a server that is broken, or is
// none, would end the process or take its memory.
//
// The protocol: https://redis.io/docs/latest/develop/reference/protocol-spec
package resp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// ErrReply says that what came is no reply that can be read.
var ErrReply = errors.New("unexpected reply")

// Bounds on a reply, far beyond what a ledger of the largest size answers.
const (
	maxBytes    = 64 << 20 // in all
	maxElements = 1 << 20  // of all arrays, sets and maps in it, as they are announced
	maxDepth    = 16       // of these within each other
	maxLine     = 64 << 10 // what is neither counted nor measured: statuses, numbers, errors
	maxNumber   = 20       // digits of a length
)

// Guard returns the connection, from which reading fails with [ErrReply] once what comes is no
// reply. It is closed then. Like any connection's, its reads must not be concurrent.
func Guard(conn net.Conn) net.Conn {
	c := &guarded{Conn: conn}
	if raw, ok := conn.(syscall.Conn); ok { // by which a client finds out whether it is alive
		return &rawGuarded{guarded: c, Conn: raw}
	}
	return c
}

type guarded struct {
	net.Conn
	reply checker
}

// rawGuarded is a guarded connection without TLS.
type rawGuarded struct {
	*guarded
	syscall.Conn
}

// Read implements net.Conn.
func (c *guarded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if wrong := c.reply.take(p[:n]); wrong != nil {
		_ = c.Close()
		return 0, wrong
	}
	return n, err
}

// checker reads replies as they come, in parts of any size.
//
//	reply    type line end                      +OK  :1  $-1
//	         type line end  bytes end           $2 hi
//	         type line end  reply ...           *2 :1 :2
//
// Invariants: open has the aggregates that are not complete, each within the one before; skip
// bytes of the innermost are still to come that say nothing of the structure.
type checker struct {
	kind  byte   // of the line that comes; 0 at its beginning
	line  []byte // its length, for kinds that have one
	chars int    // of the line
	cr    bool   // the last byte was the first of a line's end

	skip     int
	open     []aggregate
	bytes    int // of the reply
	elements int
	broken   error
}

// aggregate is a reply that consists of others.
type aggregate struct {
	left  int
	aside bool // attributes: they come before a reply, and are none
}

// take takes in what came next.
func (c *checker) take(p []byte) error {
	for i := 0; i < len(p) && c.broken == nil; {
		if c.skip > 0 {
			n := min(c.skip, len(p)-i)
			i += n
			if c.skip -= n; c.skip == 0 {
				c.complete()
			}
			continue
		}
		c.broken = c.next(p[i])
		i++
	}
	return c.broken
}

// next takes in a byte of a line.
func (c *checker) next(b byte) error {
	if c.kind == 0 {
		c.kind, c.line, c.chars, c.cr = b, c.line[:0], 0, false
		return c.charge(1)
	}
	if c.cr {
		if b != '\n' {
			return fmt.Errorf("%w: a line does not end with CR LF", ErrReply)
		}
		return c.ended()
	}
	if c.chars++; c.chars > maxLine {
		return fmt.Errorf("%w: a line of more than %d bytes", ErrReply, maxLine)
	}
	if c.cr = b == '\r'; c.cr {
		return c.charge(2)
	}
	if measured(c.kind) {
		if c.line = append(c.line, b); len(c.line) > maxNumber {
			return fmt.Errorf("%w: the length %q", ErrReply, c.line)
		}
	}
	return c.charge(1)
}

// measured reports whether a reply's line is the length of what follows.
func measured(kind byte) bool {
	switch kind {
	case '$', '!', '=', '*', '~', '>', '%', '|':
		return true
	}
	return false
}

// ended takes in a whole line.
func (c *checker) ended() error {
	kind := c.kind
	c.kind = 0
	switch kind {
	case '+', '-', ':', '_', ',', '#', '(':
		c.complete()
		return nil
	}
	if !measured(kind) {
		return fmt.Errorf("%w: it begins with %q", ErrReply, kind)
	}
	n, err := strconv.Atoi(string(c.line))
	switch {
	case err != nil || n < -1:
		return fmt.Errorf("%w: the length %q", ErrReply, c.line)
	case n == -1: // nil
		c.complete()
		return nil
	}
	switch kind {
	case '$', '!', '=':
		c.skip = n + len("\r\n")
		if n > maxBytes {
			return fmt.Errorf("%w: a string of %d bytes", ErrReply, n)
		}
		return c.charge(c.skip)
	case '>':
		if n == 0 {
			return fmt.Errorf("%w: a message that is empty", ErrReply)
		}
	}
	return c.enter(kind, n)
}

// enter begins an aggregate of so many replies, or pairs of them.
func (c *checker) enter(kind byte, n int) error {
	if n > maxElements {
		return fmt.Errorf("%w: %d elements", ErrReply, n)
	}
	if kind == '%' || kind == '|' {
		n *= 2
	}
	if c.elements += n; c.elements > maxElements {
		return fmt.Errorf("%w: more than %d elements", ErrReply, maxElements)
	}
	if len(c.open) == maxDepth {
		return fmt.Errorf("%w: more than %d within each other", ErrReply, maxDepth)
	}
	c.open = append(c.open, aggregate{left: n, aside: kind == '|'})
	if n == 0 {
		c.close()
	}
	return nil
}

// complete notes that a reply is whole, and with it those of which it is the last part.
func (c *checker) complete() {
	if len(c.open) == 0 {
		c.bytes, c.elements = 0, 0
		return
	}
	if c.open[len(c.open)-1].left--; c.open[len(c.open)-1].left == 0 {
		c.close()
	}
}

// close ends the innermost aggregate.
func (c *checker) close() {
	last := c.open[len(c.open)-1]
	c.open = c.open[:len(c.open)-1]
	if !last.aside {
		c.complete()
	}
}

func (c *checker) charge(bytes int) error {
	if c.bytes += bytes; c.bytes > maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrReply, maxBytes)
	}
	return nil
}
