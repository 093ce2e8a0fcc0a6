package envoy

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/zap"

	"github.com/weirflow/weir/gateway/picker"
)

// conversation is a stream of a picker that a request was put to. It sends and receives in
// goroutines of its own, so that neither waits for the other.
type conversation struct {
	stream  *picker.Stream
	asked   <-chan struct{} // closed once the picker was sent the request; nil once that is known
	send    chan<- *extproc.ProcessingRequest
	answers <-chan answer
	end     func() // ends the stream; after it, the goroutines have ended. Only the first call has an effect
}

// answer is what came from a picker.
type answer struct {
	from    *conversation
	message *extproc.ProcessingResponse
	err     error
}

// converse puts a request to a picker. What it says comes by answers, by which others of the same
// request may say something, too.
func converse(stream *picker.Stream, request []*extproc.ProcessingRequest, answers chan answer) *conversation {
	out, asked, stop := make(chan *extproc.ProcessingRequest), make(chan struct{}), make(chan struct{})
	c := &conversation{stream: stream, asked: asked, send: out, answers: answers}
	var both sync.WaitGroup
	both.Go(func() {
		for {
			m, err := stream.Recv()
			select {
			case answers <- answer{c, m, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	})
	both.Go(func() {
		for _, m := range request {
			if stream.Send(m) != nil {
				return // why is received
			}
		}
		close(asked)
		for {
			select {
			case m := <-out:
				if stream.Send(m) != nil {
					return
				}
			case <-stop:
				return
			}
		}
	})
	c.end = sync.OnceFunc(func() {
		close(stop)
		stream.End()
		both.Wait()
	})
	return c
}

// errAmiss says that what a picker said first is no answer to a request.
var errAmiss = errors.New("it does not answer what it is asked")

// answers reports whether a picker's message may be its first to a request: an answer to a part of it or
// for the client, or that it needs more time than Envoy has.
func answers(m *extproc.ProcessingResponse) bool {
	switch m.GetResponse().(type) {
	case *extproc.ProcessingResponse_RequestHeaders, *extproc.ProcessingResponse_RequestBody, *extproc.ProcessingResponse_RequestTrailers,
		*extproc.ProcessingResponse_ImmediateResponse:
		return true
	case nil:
		return m.GetOverrideMessageTimeout() != nil
	}
	return false
}

// Where a picker says nothing for a part of the time that pickers have, another one is asked,
// too: the first has answered nobody meanwhile, and may have stopped. It comes sooner where a
// request finds out whether a picker is back, or has no stream yet. Where the picker goes on
// answering others, half of the time must be over.
const (
	patience   = 5
	impatience = 20
	half       = 2
)

// ask puts the request to pickers until one of them begins to answer, which it returns with its
// first message. It is without one if Envoy went on first. The error is errLost if no picker
// answers.
func (x *stream) ask(messages <-chan received, late *time.Timer) (first answer, err error) {
	d, timeout := x.delegated, x.cfg.Delegation.Timeout
	request, said := d.replay(x.session.Body.Bytes()), make(chan answer)
	var asked []*conversation
	defer func() { // the body is the session's
		for _, c := range asked {
			if c != first.from {
				c.end()
			}
		}
	}()
	began, lost, pause := time.Now(), 0, timeout
	quiet := time.NewTimer(pause)
	defer quiet.Stop()
	wait := func() {
		if pause = timeout / patience; d.claim.Impatient() {
			pause = timeout / impatience
		}
		quiet.Reset(pause)
	}
	more := func() error {
		if lost >= attempts {
			return errNone
		}
		if err := d.claim.Ask(); err != nil {
			return fmt.Errorf("%w: %w", errNone, err)
		}
		wait()
		return nil
	}
	if err := more(); err != nil {
		return answer{}, err
	}
	for {
		var in <-chan received
		if len(asked) > 0 {
			in = messages
		}
		select {
		case stream := <-d.claim.Streams():
			if stream != nil {
				asked = append(asked, converse(stream, request, said))
				wait()
				continue
			}
			lost++
			if err := more(); err != nil && len(asked) == 0 {
				return answer{}, err
			}
		case a := <-said:
			if a.err == nil && !answers(a.message) {
				a.err = errAmiss
			}
			if a.err == nil {
				return a, nil
			}
			x.cfg.Logger.Debug("a picker was lost", zap.String("picker", a.from.stream.Picker()), zap.Error(a.err))
			a.from.stream.Failed(a.err)
			a.from.end()
			asked = slices.DeleteFunc(asked, func(c *conversation) bool { return c == a.from })
			lost++
			if err := more(); err != nil && len(asked) == 0 {
				return answer{}, fmt.Errorf("%w: %w", err, a.err)
			}
		case <-quiet.C:
			quiet.Reset(pause)
			if d.claim.Late(pause) || time.Since(began) >= timeout/half {
				_ = more() // or those that were asked answer yet
			}
		case <-late.C:
			d.claim.GiveUp()
			return answer{}, errLate
		case m := <-in: // Envoy answers itself, or has ended the stream
			if m.err != nil {
				return answer{}, x.left(m.err)
			}
			if err := x.onward(m.message); err != nil {
				return answer{}, err
			}
			return answer{from: asked[len(asked)-1]}, nil
		case <-x.session.Context().Done():
			return answer{}, x.session.Ended()
		}
	}
}
