package envoy

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirflow/weir/gateway/picker"
	"github.com/weirflow/weir/gateway/refusal"
)

// Delegation has another Endpoint Picker choose endpoints.
type Delegation struct {
	// Pickers are those that may be asked.
	Pickers *picker.Pickers
	// Timeout is how long pickers may take in all until one has answered a whole request;
	// 5 s by default.
	Timeout time.Duration
	// FailOpen has this replica choose where no picker does; else the request is
	// answered 503.
	FailOpen bool
}

// attempts is how many streams a request may lose until a picker answers: the first may have
// broken while the request waited.
const attempts = 3

// Why the exchange with a picker ended before it was over.
var (
	errLost = errors.New("the picker is lost")
	errNone = fmt.Errorf("%w: no other can be asked", errLost)
	errLate = fmt.Errorf("%w: it took too long to answer", errLost)
)

// delegated is the part of a stream of Envoy's that is played through to a picker: the
// request once it may go, and then all that follows, message by message and both ways.
//
//	Envoy ──> kept, until granted ──> pending ──> picker
//	Envoy <────────── as it is <───────────────── picker
type delegated struct {
	claim *picker.Claim                // from when the request began
	with  *conversation                // that the exchange is played by; nil until a picker answered
	kept  []*extproc.ProcessingRequest // the request; the bytes of its body are the session's
	sizes []int                        // of the parts of the body

	pending  []*extproc.ProcessingRequest // to be sent on
	answered bool                         // the picker has answered something
	whole    bool                         // it has answered the whole request
	response echo
}

// keep keeps a message of the request until it may go, if a picker is to get it and there is memory for
// it. With the first a stream is opened beside, so that it is there then; nothing waits for that.
func (x *stream) keep(m *extproc.ProcessingRequest) *refusal.Refusal {
	delegation := x.cfg.Delegation
	if delegation == nil {
		return nil
	}
	if x.delegated == nil {
		x.delegated = &delegated{claim: delegation.Pickers.Reserve()}
	}
	return x.session.Body.Hold(x.delegated.keep(m))
}

// keep returns about how many bytes of memory the message takes beside its part of the body.
func (d *delegated) keep(m *extproc.ProcessingRequest) int64 {
	if b := m.GetRequestBody(); b != nil {
		d.sizes = append(d.sizes, len(b.GetBody()))
		b.Body = nil
	}
	d.kept = append(d.kept, m)
	return elementBytes + memoryOf(m.ProtoReflect())
}

// replay is the request as it came.
func (d *delegated) replay(body []byte) []*extproc.ProcessingRequest {
	part := 0
	for _, m := range d.kept {
		if b := m.GetRequestBody(); b != nil {
			b.Body = body[:d.sizes[part]]
			body = body[d.sizes[part]:]
			part++
		}
	}
	return d.kept
}

// consult plays the exchange through to a picker. It returns nil with the stream not over
// where this replica goes on by itself: no picker answered, or one was lost when the answer
// had begun.
func (x *stream) consult(messages <-chan received) error {
	d, delegation := x.delegated, x.cfg.Delegation
	x.phase = awaitingResponse
	late := time.NewTimer(delegation.Timeout)
	defer late.Stop()
	first, err := x.ask(messages, late)
	if first.from != nil {
		d.with = first.from
		defer d.with.end() // the body is the session's
		d.claim.End()
		err = x.play(first, messages, late)
		if !errors.Is(err, errLost) {
			return err
		}
		x.cfg.Logger.Debug("a picker was lost", zap.String("picker", d.with.stream.Picker()), zap.Error(err))
		return x.resume(d.with.stream, err)
	}
	if !errors.Is(err, errLost) {
		return err
	}
	x.cfg.Logger.Debug("no picker answers a request", zap.Error(err))
	d.claim.End()
	delegation.Pickers.Unserved()
	if !delegation.FailOpen {
		return pickerUnavailable()
	}
	return x.pick()
}

func pickerUnavailable() *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusServiceUnavailable, Code: "picker_unavailable", Reason: refusal.PickerUnavailable,
		Message: "no Endpoint Picker chose a model server for the request; try again",
	}
}

// resume goes on without the picker, which was lost: what it was sent of the answer and did
// not give back goes on as it is. That is not possible while the request is at the picker,
// nor where it changes bodies.
func (x *stream) resume(lost *picker.Stream, why error) error {
	e := &x.delegated.response
	switch {
	case x.phase == awaitingResponse && x.delegated.whole:
		return nil
	case x.phase == awaitingResponse:
		lost.Failed(why)
		return pickerUnavailable()
	case e.changed:
		lost.Failed(why)
		return status.Error(codes.Unavailable, "the picker was lost in the middle of an answer that it changes")
	}
	if e.headers {
		if err := x.send(responseHeaders(&x.record), e.sentEnd && e.parts == 0 && !e.trailers); err != nil || x.over {
			return err
		}
	}
	if last := e.sentEnd && !e.trailers; len(e.body) > 0 || last {
		if err := x.pass(&extproc.HttpBody{Body: e.body, EndOfStream: last}); err != nil {
			return err
		}
	}
	if e.trailers {
		return x.send(responseTrailers(), true)
	}
	return nil
}
