package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/refusal"
	"github.com/weirflow/weir/gateway/serving"
)

// exchange is a client's request and the answer to it:
//
//	begin ──> Session.Wait ──> finish
//
// The connection's goroutine does nothing but wait in between; the rest needs more of stack,
// and thousands wait at a time.
type exchange struct {
	proxy   *Proxy
	request *http.Request
	answer  answerWriter
	read    bool  // the request's body was
	failure error // why there is no answer of a model server to pass on
}

// exchangeKey is the context key of the exchange of a request.
type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// begin takes in the request, and reports whether it is to wait. Otherwise it has been
// answered, and the exchange is over.
func (x *exchange) begin() (waits bool) {
	defer func() {
		if !waits { // also when there is a panic
			x.over()
		}
	}()
	r, w := x.request, &x.answer
	x.proxy.gateway.Begin(&w.record, r.Method, r.URL.Path, r.Header)
	_ = w.connection.SetWriteDeadline(time.Time{}) // the one before may have left its own
	waits, err := x.open()
	if err != nil {
		x.refuse(err)
	}
	return waits
}

// open opens the request's session and takes it as far as its wait, unless the request can be
// answered without one. The error is about a request of which nothing has been answered.
func (x *exchange) open() (waits bool, _ error) {
	r, w, g := x.request, &x.answer, x.proxy.gateway
	if refused := checkTarget(r); refused != nil {
		return false, refused
	}
	memory, refused := g.HeaderMemory(headers.Lines(r.Header))
	if refused != nil {
		return false, refused
	}
	s, refused := g.Open(r.Context(), r.Header, memory, &w.record)
	if refused != nil {
		return false, refused
	}
	serving.Admitted(r.Context())
	defer func() {
		if !waits {
			s.End()
		}
	}()
	w.session = s
	if models, asked, refused := g.AnswerModels(r.Method, r.URL.Path); refused != nil {
		return false, refused
	} else if asked {
		x.closeUnread()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(models) // the client may be gone
		return false, nil
	}
	if err := x.readBody(); err != nil {
		return false, err
	}
	if refused := s.Admit(r.Method, r.URL.Path); refused != nil {
		return false, refused
	}
	s.Placement.Prefer()
	return true, nil
}

// readBody reads the request's body, once.
func (x *exchange) readBody() error {
	s, r, reading := x.answer.session, x.request, x.answer.connection
	if r.ContentLength == 0 {
		return nil
	}
	_ = reading.SetReadDeadline(time.Now().Add(x.proxy.cfg.BodyTimeout)) // where there is no deadline to set, there is none
	set := make(chan struct{})
	stop := context.AfterFunc(s.Context(), func() {
		defer close(set)
		_ = reading.SetReadDeadline(time.Now())
	})
	err := s.Body.Read(r.Body, r.ContentLength)
	if stop() {
		_ = reading.SetReadDeadline(time.Time{})
	} else {
		<-set // what HTTP/2 has of a stream is gone once the request is over
	}
	if err != nil {
		return unreadable(s, err)
	}
	x.read = true
	return nil
}

// unreadable is the answer to a request whose body could not be read.
func unreadable(s *gateway.Session, err error) *refusal.Refusal {
	var refused *refusal.Refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case s.Context().Err() != nil:
		return s.Ended()
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.Watch.BodyStalled()
		return s.Ended()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return gateway.ClientGone()
	}
	return refusal.BadRequest("unreadable_body", "the request's body could not be read: "+err.Error())
}

// finish answers the request that has waited: from a model server, or with why it may not go.
func (x *exchange) finish(refused *refusal.Refusal) {
	defer x.over()
	if err := x.forward(refused); err != nil {
		x.refuse(err)
	}
}

// forward passes the request on, unless it was refused, and the answer back. The error is
// about one of which nothing has been answered.
func (x *exchange) forward(refused *refusal.Refusal) error {
	s := x.answer.session
	defer s.End() // also when the copying panics
	if refused != nil {
		return refused
	}
	out := x.request.WithContext(context.WithValue(s.Context(), exchangeKey{}, x))
	out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, int64(len(s.Body.Bytes())), nil // send has the body
	x.proxy.reverse.ServeHTTP(&x.answer, out)
	x.answer.hurry() // the end of the answer is still to be written, however long ago its last part was
	if x.failure != nil && s.Context().Err() != nil {
		return s.Ended()
	}
	return x.failure
}

// refuse answers with why there is no other answer.
func (x *exchange) refuse(err error) {
	w := &x.answer
	var refused *refusal.Refusal
	if !errors.As(err, &refused) {
		// Where the server is, and what it said, is not for clients.
		x.proxy.cfg.Logger.Warn("a model server failed before it answered", zap.Error(err))
		refused = gateway.UpstreamFailed()
	}
	w.record.Refuse(refused.Code)
	if refused.Status == refusal.StatusClientGone {
		w.code = refusal.StatusClientGone
		panic(http.ErrAbortHandler) // or net/http would answer 200, which one that only closed its sending side reads
	}
	x.closeUnread()
	refused.Write(w)
}

// closeUnread has the connection end with the answer if the request's body was not read, or
// net/http would wait for it. By HTTP/2 the stream ends, and others go on.
func (x *exchange) closeUnread() {
	if x.request.ContentLength != 0 && !x.read && !x.answer.http2 {
		x.answer.Header().Set("Connection", "close")
	}
}

// over closes the request's record.
func (x *exchange) over() { x.proxy.gateway.Over(&x.answer.record, x.answer.code) }
