package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/flows"
)

// answerBody has the server watched while more of its answer is waited for.
type answerBody struct {
	io.ReadCloser
	session *gateway.Session
	begun   bool
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.begun {
		b.session.ExpectMore()
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.session.Whole()
	case err != nil:
		b.session.BrokeOff()
	}
	b.begun = b.begun || n > 0
	b.session.Relax() // what the client takes its time for is not the server's fault
	return n, err
}

// answerWriter remembers what was sent to the client, and bounds how long the client may
// take nothing of it.
type answerWriter struct {
	http.ResponseWriter
	connection *http.ResponseController // with the client
	code       int
	record     gateway.Record
	session    *gateway.Session // nil until there is one
	hurried    time.Time        // when the bound on the next write was last set
}

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(code int) {
	if code >= 200 {
		w.begin(code)
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *answerWriter) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	w.hurry()
	n, err := w.ResponseWriter.Write(p)
	return n, w.note(err)
}

// FlushError implements what http.ResponseController flushes by.
func (w *answerWriter) FlushError() error {
	w.hurry()
	return w.note(w.connection.Flush())
}

// hurry bounds the next write: what a client takes nothing of for so long ends there, or up
// to an eighth of it earlier, since setting the bound costs as much as writing a chunk.
func (w *answerWriter) hurry() {
	within := flows.DefaultTimeouts().Client
	if w.session != nil {
		within = w.session.Timeouts().Client
	}
	now := time.Now()
	if now.Sub(w.hurried) < within/8 {
		return
	}
	w.hurried = now
	_ = w.connection.SetWriteDeadline(now.Add(within)) // where there is none to set, there is no bound
}

func (w *answerWriter) note(err error) error {
	if w.session != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		w.session.ClientStalled()
	}
	return err
}

func (w *answerWriter) begin(code int) {
	if w.code != 0 {
		return
	}
	w.code = code
	w.record.Headers(w.Header().Set, w.Header().Add)
	if w.session != nil {
		w.session.Begun()
	}
}

// Unwrap lets http.ResponseController reach the writer's other abilities.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
