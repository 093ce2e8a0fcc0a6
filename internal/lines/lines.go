// Package lines writes logs for whoever must not wait for their reader.
package lines

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPending is how many bytes of lines may wait to be written. Whoever reads them may
	// be slow; nobody waits for that.
	maxPending = 4 << 20
	// ending is how long Sync and Close wait for lines to be written.
	ending = 2 * time.Second
)

// Config describes a writer.
type Config struct {
	// Gather is for how long lines are gathered to be written at once: waking the writer for
	// each costs more than the line. By default they are written as they come.
	Gather time.Duration
	// Failing is told when writing begins to fail, and by nil when that is over; nobody is by
	// default. It is called by the writer's goroutine, and may write to the writer.
	Failing func(error)
	// Lost is told how many lines were lost, for want of room, before one that is written; nobody
	// is by default. It is called as Failing is.
	Lost func(lines uint64)
}

// Writer writes lines, in a goroutine of its own. Its methods are safe for concurrent use.
type Writer struct {
	to    io.Writer
	cfg   Config
	lost  atomic.Uint64
	wake  chan struct{} // there is a line
	hurry chan struct{} // there are many
	end   chan struct{}
	ended chan struct{}

	mu      sync.Mutex
	pending []byte
	lines   uint64        // in pending
	dropped uint64        // for want of room, since some were written
	written chan struct{} // closed once pending is written
	closed  bool

	// Of the writing goroutine:
	torn    bool // the last line has no end: writing may fail within a line, such as on a full disk
	failing bool
}

// New returns a writer of lines to another writer. Close must be called to stop it.
func New(to io.Writer, cfg Config) *Writer {
	w := &Writer{
		to: to, cfg: cfg, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{}),
		written: make(chan struct{}),
	}
	go w.run() // ends with Close
	return w
}

// Write implements io.Writer, of whole lines. It returns at once: where the reader does not keep up,
// they are lost and counted. It never fails.
func (w *Writer) Write(text []byte) (int, error) {
	n := uint64(bytes.Count(text, []byte("\n")))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.pending)+len(text) > maxPending {
		w.dropped += n
		w.lost.Add(n)
		return len(text), nil
	}
	w.pending = append(w.pending, text...)
	if w.lines += n; w.lines == n {
		signal(w.wake)
	}
	if len(w.pending) > maxPending/2 {
		signal(w.hurry)
	}
	return len(text), nil
}

// signal wakes the writer, unless somebody did already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lost returns how many lines were lost.
func (w *Writer) Lost() uint64 { return w.lost.Load() }

// run writes what was gathered, until the writer is closed and nothing is left.
func (w *Writer) run() {
	defer close(w.ended)
	var out []byte
	for closed := false; !closed; {
		select {
		case <-w.wake:
			w.gather()
		case <-w.end:
		}
		w.mu.Lock()
		out, w.pending = w.pending, out[:0]
		lines, dropped, written := w.lines, w.dropped, w.written
		w.lines, w.dropped, w.written, closed = 0, 0, make(chan struct{}), w.closed
		w.mu.Unlock()
		if lines > 0 {
			w.lost.Add(lines - w.write(out))
		}
		close(written)
		if dropped > 0 && w.cfg.Lost != nil {
			w.cfg.Lost(dropped)
		}
	}
}

func (w *Writer) gather() {
	if w.cfg.Gather == 0 {
		return
	}
	pause := time.NewTimer(w.cfg.Gather)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-w.hurry:
	case <-w.end:
	}
}

// write returns how many of the lines it wrote.
func (w *Writer) write(lines []byte) (written uint64) {
	if w.torn {
		if _, err := w.to.Write([]byte("\n")); err != nil {
			w.failed(err)
			return 0
		}
		w.torn = false
	}
	n, err := w.to.Write(lines)
	if n > 0 {
		w.torn = lines[n-1] != '\n'
	}
	w.failed(err)
	return uint64(bytes.Count(lines[:n], []byte("\n")))
}

// failed tells when writing begins to fail, and when that is over.
func (w *Writer) failed(err error) {
	if (err != nil) != w.failing {
		w.failing = err != nil
		if w.cfg.Failing != nil {
			w.cfg.Failing(err)
		}
	}
}

// Sync waits until what has come is written, for as long as its reader takes it. It never fails.
func (w *Writer) Sync() error {
	w.mu.Lock()
	written := w.written
	signal(w.wake)
	w.mu.Unlock()
	late := time.NewTimer(ending)
	defer late.Stop()
	select {
	case <-written:
	case <-w.ended:
	case <-late.C:
	}
	return nil
}

// Close writes what is pending, for as long as its reader takes it, and ends the writer: what comes
// later is lost.
func (w *Writer) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.end)
	}
	w.mu.Unlock()
	select {
	case <-w.ended:
	case <-time.After(ending):
	}
}
