package accesslog

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// maxPending is how many bytes of lines may wait to be written. Whoever reads them may
	// be slow; requests do not wait for that.
	maxPending = 4 << 20
	// gather is for how long lines are gathered to be written at once: waking the writer
	// for each costs more than the line.
	gather = 50 * time.Millisecond
	// closing is how long Close waits for lines to be written.
	closing = 2 * time.Second
)

// Log writes lines, in a goroutine of its own. Its methods are safe for concurrent use; a
// nil Log logs nothing.
type Log struct {
	selection atomic.Pointer[Selection]
	spare     sync.Pool // of lines being made
	lost      atomic.Uint64
	wake      chan struct{} // there is a line
	hurry     chan struct{} // there are many
	end       chan struct{}
	ended     chan struct{}

	mu      sync.Mutex
	pending []byte
	lines   uint64 // in pending
	closed  bool
}

// New returns a log that writes to w, and says in the other log when it cannot. Close must be
// called to stop it.
func New(w io.Writer, s Selection, log *zap.Logger) *Log {
	l := &Log{wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	l.spare.New = func() any { b := make([]byte, 0, 1024); return &b }
	l.Select(s)
	go l.run(&writer{to: w, log: log})
	return l
}

// Select changes which requests are logged from now on.
func (l *Log) Select(s Selection) { l.selection.Store(&s) }

// Wants reports whether a request is to be logged that the gateway ended itself, or not.
func (l *Log) Wants(refused bool) bool { return l != nil && l.selection.Load().Wants(refused) }

// Add logs a request. It returns at once: where the reader of the log does not keep up,
// the line is lost and counted.
func (l *Log) Add(e *Entry) {
	b := l.spare.Get().(*[]byte)
	*b = e.append((*b)[:0])
	l.take(*b)
	l.spare.Put(b)
}

// take adds a line to those pending, if there is room.
func (l *Log) take(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.pending)+len(line) > maxPending {
		l.lost.Add(1)
		return
	}
	l.pending = append(l.pending, line...)
	if l.lines++; l.lines == 1 {
		signal(l.wake)
	}
	if len(l.pending) > maxPending/2 {
		signal(l.hurry)
	}
}

// signal wakes the writer, unless somebody did already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Lost returns how many lines were lost.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// run writes what was gathered, until the log is closed and nothing is left.
func (l *Log) run(w *writer) {
	defer close(l.ended)
	var out []byte
	pause := time.NewTimer(gather)
	defer pause.Stop()
	for closed := false; !closed; {
		select {
		case <-l.wake:
			pause.Reset(gather)
			select {
			case <-pause.C:
			case <-l.hurry:
			case <-l.end:
			}
		case <-l.end:
		}
		var lines uint64
		l.mu.Lock()
		out, l.pending = l.pending, out[:0]
		lines, l.lines, closed = l.lines, 0, l.closed
		l.mu.Unlock()
		if lines == 0 {
			continue
		}
		l.lost.Add(lines - w.write(out))
	}
}

// writer writes whole lines, for the one goroutine that runs the log. It may fail within a line,
// such as on a full disk.
type writer struct {
	to      io.Writer
	log     *zap.Logger
	torn    bool // the last line has no end
	failing bool
}

// write returns how many of the lines it wrote.
func (w *writer) write(lines []byte) (written uint64) {
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

// failed says when writing begins to fail, and when that is over.
func (w *writer) failed(err error) {
	switch {
	case err != nil && !w.failing:
		w.log.Warn("the request log cannot be written: lines are lost until it can", zap.Error(err))
	case err == nil && w.failing:
		w.log.Info("the request log is written again")
	}
	w.failing = err != nil
}

// Close writes what is pending, for as long as its reader takes it, and ends the log.
func (l *Log) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.end)
	}
	l.mu.Unlock()
	select {
	case <-l.ended:
	case <-time.After(closing):
	}
}
