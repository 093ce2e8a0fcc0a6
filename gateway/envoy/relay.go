package envoy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/policies"
)

// relay takes the stream from the grant to its end.
func (x *stream) relay() error {
	messages, stop := x.receive()
	defer stop()
	err := x.consult(messages)
	for err == nil && !x.over { // by itself
		select {
		case m := <-messages:
			if m.err != nil {
				return x.left(m.err)
			}
			err = x.take(m.message)
		case <-x.session.Context().Done():
			return x.session.Ended()
		}
	}
	return err
}

// left ends a stream that Envoy has ended.
func (x *stream) left(err error) error {
	x.over = true
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// received is what came from Envoy.
type received struct {
	message *extproc.ProcessingRequest
	err     error
}

// receive receives in a goroutine of its own until stop, while what a picker says is waited
// for, too.
func (x *stream) receive() (messages <-chan received, stop func()) {
	in, stopped := make(chan received), make(chan struct{})
	go func() { // ends with stop and with the stream
		for {
			m, err := x.stream.Recv()
			select {
			case in <- received{m, err}:
			case <-stopped:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return in, func() { close(stopped) }
}

// play plays the exchange through one conversation with a picker until it is over, or errLost:
// also if the picker has not answered the whole request when late fires.
func (x *stream) play(first answer, messages <-chan received, late *time.Timer) error {
	d, s, with := x.delegated, x.session, first.from
	if first.message != nil {
		if err := x.back(first.message); err != nil {
			return err
		}
	}
	for !x.over {
		if d.whole || x.phase != awaitingResponse {
			late.Stop()
		}
		var out chan<- *extproc.ProcessingRequest // one goes out before more comes in
		var next *extproc.ProcessingRequest
		in := messages
		if len(d.pending) > 0 {
			out, next, in = with.send, d.pending[0], nil
		}
		select {
		case out <- next:
			d.pending = d.pending[1:]
		case <-with.asked:
			with.asked = nil
			x.forget()
		case m := <-in:
			if m.err != nil {
				return x.left(m.err)
			}
			if err := x.onward(m.message); err != nil {
				return err
			}
		case a := <-with.answers:
			if a.err != nil {
				return fmt.Errorf("%w: %w", errLost, a.err)
			}
			if err := x.back(a.message); err != nil {
				return err
			}
		case <-late.C:
			d.claim.GiveUp()
			return errLate
		case <-s.Context().Done():
			return s.Ended()
		}
	}
	return nil
}

// onward takes in a part of the response on its way to the picker.
func (x *stream) onward(m *extproc.ProcessingRequest) error {
	switch r := m.GetRequest().(type) {
	case *extproc.ProcessingRequest_ResponseHeaders:
		if x.phase != awaitingResponse {
			return unexpected("response headers", x.phase)
		}
		x.served(m)
		x.responded(r.ResponseHeaders)
		if d := x.delegated; d.answered {
			d.with.stream.Answered() // however it said so
		}
	case *extproc.ProcessingRequest_ResponseBody:
		if x.phase != receivingResponse {
			return unexpected("a response body", x.phase)
		}
		x.streamed(r.ResponseBody.GetBody())
	case *extproc.ProcessingRequest_ResponseTrailers:
		if x.phase != receivingResponse {
			return unexpected("response trailers", x.phase)
		}
	default:
		return unexpected("a part of the request", x.phase)
	}
	x.delegated.response.sent(m)
	x.delegated.pending = append(x.delegated.pending, m)
	return nil
}

// back takes in an answer of the picker on its way to Envoy, which gets it as it is. Only API
// keys are taken out of the request, if Weir knows tenants by them.
func (x *stream) back(m *extproc.ProcessingResponse) error {
	d := x.delegated
	d.answered = true
	last := d.response.returned(m)
	switch r := m.GetResponse().(type) {
	case *extproc.ProcessingResponse_ImmediateResponse:
		x.status, last = int(r.ImmediateResponse.GetStatus().GetCode()), true
		d.with.stream.Answered()
	case *extproc.ProcessingResponse_RequestHeaders:
		x.named(destinations(m))
		x.prefilled(m)
		if x.gateway.Keyed() {
			dropKeys(mutation(r.RequestHeaders))
		}
	}
	if !d.whole && wholly(d.kept, m) {
		d.whole = true
		d.with.stream.Answered()
		if x.phase == awaitingResponse { // from now on it is up to the model server
			x.session.Watch.ExpectFirstByte()
		}
	}
	x.forget()
	return x.send(m, last)
}

// forget gives the request's memory back once its picker has it and has answered all of it: no
// other picker is asked then.
func (x *stream) forget() {
	if d := x.delegated; d.whole && d.with.asked == nil && d.kept != nil {
		x.session.Body.Drop()
		d.kept = nil
	}
}

// wholly reports whether an answer is the last to a request.
func wholly(request []*extproc.ProcessingRequest, m *extproc.ProcessingResponse) bool {
	switch r := m.GetResponse().(type) {
	case *extproc.ProcessingResponse_RequestHeaders:
		return len(request) == 1
	case *extproc.ProcessingResponse_RequestBody:
		return r.RequestBody.GetResponse().GetBodyMutation().GetStreamedResponse().GetEndOfStream()
	case *extproc.ProcessingResponse_RequestTrailers:
		return true
	}
	return false
}

// named takes up the endpoints that a picker named, the first of which the request goes to.
// One that the pool does not have counts for the pool alone.
func (x *stream) named(addresses []string) {
	var all []*endpoints.Endpoint
	for _, a := range addresses {
		if e := x.session.Pool().Endpoints().At(a); e != nil {
			all = append(all, e)
		}
	}
	if len(all) == 0 || x.session.Placement.Slot() != nil {
		return
	}
	x.session.Placement.TakeAt(all[0])
	x.others = all[1:]
}

// prefilled counts the request at the endpoint that the picker has read its prompt, until the
// answer begins.
func (x *stream) prefilled(m *extproc.ProcessingResponse) {
	for _, name := range headers.Stages[policies.Prefill] {
		addresses := named(m, name)
		if len(addresses) == 0 {
			continue
		}
		if e := x.session.Pool().Endpoints().At(addresses[0]); e != nil {
			x.session.Placement.PrefilledAt(e)
		}
		return
	}
}

// destinations are the endpoints that an answer names, in a header or in metadata. Where it is
// sent to another port of the endpoint's host, a header of its own names the endpoint.
func destinations(m *extproc.ProcessingResponse) []string {
	if rank := named(m, headers.Rank); len(rank) > 0 {
		return rank
	}
	if to := named(m, destinationKey); len(to) > 0 {
		return to
	}
	return addressesIn(m.GetDynamicMetadata().GetFields()[destinationMeta].GetStructValue().GetFields()[destinationKey].GetStringValue())
}

// named are the endpoints that an answer names in a header of the request.
func named(m *extproc.ProcessingResponse, key string) []string {
	for _, h := range m.GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
		if strings.EqualFold(h.GetHeader().GetKey(), key) {
			return addressesIn(valueOf(h.GetHeader()))
		}
	}
	return nil
}

func addressesIn(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
