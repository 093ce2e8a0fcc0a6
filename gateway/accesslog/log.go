package accesslog

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/internal/lines"
)

// gather is for how long lines are gathered to be written at once.
const gather = 50 * time.Millisecond

// Log writes lines, in a goroutine of its own: requests do not wait for whoever reads them. Its
// methods are safe for concurrent use; a nil Log logs nothing.
type Log struct {
	selection atomic.Pointer[Selection]
	spare     sync.Pool // of lines being made
	to        *lines.Writer
}

// New returns a log that writes to w, and says in the other log when it cannot. Close must be
// called to stop it.
func New(w io.Writer, s Selection, log *zap.Logger) *Log {
	l := &Log{to: lines.New(w, lines.Config{Gather: gather, Failing: func(err error) {
		if err != nil {
			log.Warn("the request log cannot be written: lines are lost until it can", zap.Error(err))
			return
		}
		log.Info("the request log is written again")
	}})}
	l.spare.New = func() any { b := make([]byte, 0, 1024); return &b }
	l.Select(s)
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
	_, _ = l.to.Write(*b) // never fails
	l.spare.Put(b)
}

// Lost returns how many lines were lost.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	return l.to.Lost()
}

// Close writes what is pending, for as long as its reader takes it, and ends the log.
func (l *Log) Close() { l.to.Close() }
