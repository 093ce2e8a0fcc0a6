package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
)

// sessionBytes is about what a request that waits takes beside its headers and its body:
// the connection's buffers and its goroutines, and what flow control keeps.
const sessionBytes = 24 << 10

// ReadBody reads the body, of which so many bytes are expected; below 0 if that is not known.
// What it does not fail with a refusal for is the reader's own error.
func (s *Session) ReadBody(r io.Reader, expected int64) error {
	if expected > s.gateway.cfg.MaxBody {
		return tooLarge(s.gateway.cfg.MaxBody)
	}
	var end [1]byte
	for {
		into := end[:]
		if int64(len(s.asked.Body)) != expected {
			if err := s.reserve(1, expected); err != nil {
				return err
			}
			into = s.asked.Body[len(s.asked.Body):cap(s.asked.Body)]
		}
		n, err := r.Read(into)
		s.asked.Body = append(s.asked.Body, into[:n]...) // where it is already
		switch {
		case int64(len(s.asked.Body)) > s.gateway.cfg.MaxBody:
			return tooLarge(s.gateway.cfg.MaxBody)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// AddBody takes in a part of the body.
func (s *Session) AddBody(part []byte) error {
	if int64(len(s.asked.Body)+len(part)) > s.gateway.cfg.MaxBody {
		return tooLarge(s.gateway.cfg.MaxBody)
	}
	if err := s.reserve(len(part), -1); err != nil {
		return err
	}
	s.asked.Body = append(s.asked.Body, part...)
	return nil
}

// take takes so many bytes of the budget.
func (s *Session) take(bytes int64) *refusal.Refusal {
	err := s.memory.Take(s.ctx, bytes)
	if err == nil {
		return nil
	}
	if errors.Is(err, budget.ErrUsedUp) {
		err = errMemory
	}
	s.cancel(err)
	return s.Ended()
}

// reserve makes room for more bytes of the body. Room grows as bytes come, and not by
// what is announced.
func (s *Session) reserve(more int, expected int64) error {
	have, need := cap(s.asked.Body), len(s.asked.Body)+more
	if need <= have {
		return nil
	}
	size := max(need, 2*have, 4<<10)
	if int64(need) <= expected {
		size = min(size, int(expected))
	}
	if refused := s.take(int64(size - have)); refused != nil {
		return refused
	}
	body := make([]byte, len(s.asked.Body), size)
	copy(body, s.asked.Body)
	s.asked.Body = body
	return nil
}

// DropBody forgets the body, which is not needed any more.
func (s *Session) DropBody() {
	size := int64(cap(s.asked.Body))
	s.asked.Drop()
	s.memory.GiveBack(size)
}

// Body is the request's body, until it is dropped.
func (s *Session) Body() []byte { return s.asked.Body }

// BodyReader reads the body from its beginning.
func (s *Session) BodyReader() io.ReadCloser { return s.asked.Reader() }

// Renamed reports whether the body is another than that which came, as it asks for another model.
func (s *Session) Renamed() bool { return s.asked.renamed }

// rename has the body ask for another model. Both bodies are there for a moment, and both are
// taken of the budget.
func (s *Session) rename(model string) *refusal.Refusal {
	body := s.asked.Body
	from, to, times := modelapi.ModelAt(body)
	switch {
	case times == 0:
		return nil // it is refused for that by Read
	case times > 1:
		return refusal.BadRequest("malformed_json", `the request names its "model" more than once, and it is to be replaced; name it once`)
	}
	name, err := json.Marshal(model)
	if err != nil {
		panic(err) // strings always marshal
	}
	size := int64(len(body) - (to - from) + len(name))
	if size > s.gateway.cfg.MaxBody {
		return tooLarge(s.gateway.cfg.MaxBody)
	}
	if refused := s.take(size); refused != nil {
		return refused
	}
	renamed := append(append(append(make([]byte, 0, size), body[:from]...), name...), body[to:]...)
	s.asked.Body, s.asked.Prompt, s.asked.renamed = renamed, nil, true // the prompt was a part of the other one
	s.memory.GiveBack(int64(cap(body)))
	return nil
}

// renameByHeader has the request ask for the model that its header names.
func (s *Session) renameByHeader(method, path string) *refusal.Refusal {
	if s.asked.rewrite == "" || !modelapi.NamesModel(method, path) {
		return nil
	}
	return s.rename(s.asked.rewrite)
}

// renameByRule has the request ask for another model as its pool's rules say.
func (s *Session) renameByRule(method, path string) *refusal.Refusal {
	rewrite, a := s.pool.cfg.Rewrite, &s.asked
	if rewrite == nil || a.rewrite != "" || a.elsewhere || !modelapi.NamesModel(method, path) {
		return nil
	}
	to := rewrite(a.Model)
	if to == a.Model {
		return nil
	}
	if refused := s.rename(to); refused != nil {
		return refused
	}
	return a.Read(method, path)
}

// ChosenElsewhere leaves the choice of the endpoint to something else, and with it the model
// that the request's header names. ChosenHere takes both back.
func (s *Session) ChosenElsewhere() { s.asked.elsewhere = true }

// ChosenHere has this replica choose the endpoint after all.
func (s *Session) ChosenHere(method, path string) *refusal.Refusal {
	if !s.asked.elsewhere {
		return nil
	}
	s.asked.elsewhere = false
	return s.renameByHeader(method, path)
}

func tooLarge(limit int64) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the request's body is larger than the limit of %d bytes", limit),
	}
}
