package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/refusal"
)

// answerBody has the server watched while more of its answer is waited for.
type answerBody struct {
	io.ReadCloser
	session *gateway.Session
	of      *http.Response
	begun   bool
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	if b.begun {
		b.session.Watch.ExpectMore()
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.session.Answer.Whole()
		b.of.Trailer.Del(refusal.ByHeader) // there at the end, announced or not
	case err != nil:
		b.session.Answer.BrokeOff()
	}
	b.begun = b.begun || n > 0
	b.session.Watch.Relax() // what the client takes its time for is not the server's fault
	return n, err
}

// answerWriter remembers what was sent to the client, and bounds how long the client may
// take nothing of it.
type answerWriter struct {
	http.ResponseWriter
	connection *http.ResponseController // with the client
	http2      bool                     // it is one stream of several
	code       int
	record     gateway.Record
	session    *gateway.Session // nil until there is one
	hurried    time.Time        // when the bound on the next write was last set
	interim    int              // answers before the answer that were passed on
}

// maxInterim bounds the answers of a server before the answer proper, such as early hints: a
// request has few.
const maxInterim = 16

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(code int) {
	if code >= 200 {
		w.begin(code)
	} else if w.interim++; w.interim > maxInterim {
		return
	}
	w.hurry()
	w.ResponseWriter.WriteHeader(code)
	if code < 200 {
		w.rest()
	}
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
	defer w.rest()
	return w.note(w.connection.Flush())
}

// hurry bounds the next write: what a client takes nothing of for so long ends there, or up
// to an eighth of it earlier, since setting the bound costs as much as writing a chunk.
func (w *answerWriter) hurry() {
	within := flows.DefaultTimeouts().Client
	if w.session != nil {
		within = w.session.Watch.Timeouts().Client
	}
	now := time.Now()
	if now.Sub(w.hurried) < within/8 {
		return
	}
	w.hurried = now
	_ = w.connection.SetWriteDeadline(now.Add(within)) // where there is none to set, there is no bound
}

// rest lifts the bound, once the client has taken what was written, where it would end the answer
// also while there is nothing to write: net/http ends a stream of HTTP/2 when its time is up.
func (w *answerWriter) rest() {
	if w.http2 {
		w.hurried = time.Time{}
		_ = w.connection.SetWriteDeadline(w.hurried)
	}
}

func (w *answerWriter) note(err error) error {
	if w.session != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		w.session.Answer.ClientStalled()
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
		w.session.Answer.Begun()
	}
}

// Unwrap lets http.ResponseController reach the writer's other abilities.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
