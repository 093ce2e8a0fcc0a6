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

// read reads the body, of which so many bytes are expected; below 0 if that is not known.
// What it does not fail with a refusal for is the reader's own error.
func (s *session) read(r io.Reader, expected int64) error {
	var end [1]byte
	for {
		into := end[:]
		if int64(len(s.in.Body)) != expected {
			if err := s.reserve(1, expected); err != nil {
				return err
			}
			into = s.in.Body[len(s.in.Body):cap(s.in.Body)]
		}
		n, err := r.Read(into)
		s.in.Body = append(s.in.Body, into[:n]...) // where it is already
		switch {
		case int64(len(s.in.Body)) > s.gateway.cfg.MaxBody:
			return tooLarge(s.gateway.cfg.MaxBody)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// add takes in a part of the body.
func (s *session) add(part []byte) error {
	if int64(len(s.in.Body)+len(part)) > s.gateway.cfg.MaxBody {
		return tooLarge(s.gateway.cfg.MaxBody)
	}
	if err := s.reserve(len(part), -1); err != nil {
		return err
	}
	s.in.Body = append(s.in.Body, part...)
	return nil
}

// take takes so many bytes of the budget.
func (s *session) take(bytes int64) *refusal.Refusal {
	err := s.memory.Take(s.ctx, bytes)
	if err == nil {
		return nil
	}
	if errors.Is(err, budget.ErrUsedUp) {
		err = errMemory
	}
	s.cancel(err)
	return s.ended()
}

// reserve makes room for more bytes of the body. Room grows as bytes come, and not by
// what is announced.
func (s *session) reserve(more int, expected int64) error {
	have, need := cap(s.in.Body), len(s.in.Body)+more
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
	body := make([]byte, len(s.in.Body), size)
	copy(body, s.in.Body)
	s.in.Body = body
	return nil
}

// dropBody forgets the body, which is not needed any more.
func (s *session) dropBody() {
	size := int64(cap(s.in.Body))
	s.in.Drop()
	s.memory.GiveBack(size)
}

// rename has the body ask for the model that the request's header names. Both bodies are
// there for a moment, and both are taken of the budget.
func (s *session) rename() *refusal.Refusal {
	body := s.in.Body
	from, to, times := modelapi.ModelAt(body)
	switch {
	case times == 0:
		return nil // it is refused for that by Read
	case times > 1:
		return refusal.BadRequest("malformed_json", `the request names its "model" more than once, and it is to be replaced; name it once`)
	}
	name, err := json.Marshal(s.rewrite)
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
	s.in.Body, s.in.Prompt = renamed, nil // the prompt was a part of the other one
	s.memory.GiveBack(int64(cap(body)))
	return nil
}

// renameByRule has the request ask for another model as its pool's rules say.
func (s *session) renameByRule(method, path string) *refusal.Refusal {
	rewrite := s.pool.cfg.Rewrite
	if rewrite == nil || s.rewrite != "" || s.elsewhere || !modelapi.NamesModel(method, path) {
		return nil
	}
	to := rewrite(s.in.Model)
	if to == s.in.Model {
		return nil
	}
	s.rewrite = to
	if refused := s.rename(); refused != nil {
		return refused
	}
	return s.in.Read(method, path)
}

func tooLarge(limit int64) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the request's body is larger than the limit of %d bytes", limit),
	}
}
