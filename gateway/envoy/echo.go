package envoy

import (
	"bytes"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
)

// maxEcho is how much of an answer may be at a picker before it counts as unknown what it
// makes of it.
const maxEcho = 1 << 20

// echo knows what of an answer a picker was sent and has not given back, so that the answer
// goes on without the picker when that is lost.
type echo struct {
	headers, trailers bool
	body              []byte
	parts             int // of the body that are not answered
	sentEnd, end      bool
	changed           bool // the picker does not give bodies back as they are
}

// sent notes a message to the picker.
func (e *echo) sent(m *extproc.ProcessingRequest) {
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_ResponseHeaders:
		e.headers, e.sentEnd = true, r.ResponseHeaders.GetEndOfStream()
	case *extproc.ProcessingRequest_ResponseBody:
		e.parts++
		e.sentEnd = r.ResponseBody.GetEndOfStream()
		if e.changed = e.changed || len(e.body)+len(r.ResponseBody.GetBody()) > maxEcho; !e.changed {
			e.body = append(e.body, r.ResponseBody.GetBody()...)
		}
	case *extproc.ProcessingRequest_ResponseTrailers:
		e.trailers, e.sentEnd = true, true
	}
}

// returned notes an answer of the picker, and reports whether it was the last.
func (e *echo) returned(m *extproc.ProcessingResponse) (last bool) {
	switch r := m.GetResponse().(type) {
	case *extproc.ProcessingResponse_ResponseHeaders:
		e.headers = false
		e.end = e.sentEnd && e.parts == 0 && !e.trailers
	case *extproc.ProcessingResponse_ResponseBody:
		e.parts--
		part := r.ResponseBody.GetResponse().GetBodyMutation().GetStreamedResponse()
		if part == nil || !bytes.HasPrefix(e.body, part.GetBody()) {
			e.changed, e.body = true, nil
		} else {
			e.body = e.body[len(part.GetBody()):]
		}
		e.end = part.GetEndOfStream() || part == nil && e.sentEnd && e.parts == 0 && !e.trailers
	case *extproc.ProcessingResponse_ResponseTrailers:
		e.trailers, e.end = false, true
	}
	return e.end
}
