package gateway

import (
	"encoding/json"
	"errors"
	"io"
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
		if int64(len(s.in.body)) != expected {
			if err := s.reserve(1, expected); err != nil {
				return err
			}
			into = s.in.body[len(s.in.body):cap(s.in.body)]
		}
		n, err := r.Read(into)
		s.in.body = append(s.in.body, into[:n]...) // where it is already
		switch {
		case int64(len(s.in.body)) > s.gateway.cfg.MaxBody:
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
	if int64(len(s.in.body)+len(part)) > s.gateway.cfg.MaxBody {
		return tooLarge(s.gateway.cfg.MaxBody)
	}
	if err := s.reserve(len(part), -1); err != nil {
		return err
	}
	s.in.body = append(s.in.body, part...)
	return nil
}

// take takes so many bytes of the budget.
func (s *session) take(bytes int64) *refusal {
	err := s.memory.take(s.ctx, bytes)
	if err == nil {
		return nil
	}
	s.cancel(err)
	return s.ended()
}

// reserve makes room for more bytes of the body. Room grows as bytes come, and not by
// what is announced.
func (s *session) reserve(more int, expected int64) error {
	have, need := cap(s.in.body), len(s.in.body)+more
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
	body := make([]byte, len(s.in.body), size)
	copy(body, s.in.body)
	s.in.body = body
	return nil
}

// dropBody forgets the body, which is not needed any more.
func (s *session) dropBody() {
	size := int64(cap(s.in.body))
	s.in.drop()
	s.memory.giveBack(size)
}

// rename has the body ask for the model that the request's header names.
func (s *session) rename() *refusal {
	body := withModel(s.in.body, s.rewrite)
	if more := int64(cap(body) - cap(s.in.body)); more > 0 {
		if refused := s.take(more); refused != nil {
			return refused
		}
	} else {
		s.memory.giveBack(-more)
	}
	s.in.body = body
	return nil
}

// withModel is a JSON object with another model, and else to the byte as it was; what is no
// object stays as it is.
func withModel(body []byte, model string) []byte {
	name, err := json.Marshal(model)
	if err != nil {
		return body
	}
	out, from := make([]byte, 0, len(body)+len(name)), 0
	err = members(body, func(field, value []byte) {
		if string(field) == "model" {
			at := cap(body) - cap(value) // which is a part of the body
			out = append(append(out, body[from:at]...), name...)
			from = at + len(value)
		}
	})
	if err != nil {
		return body
	}
	return append(out, body[from:]...)
}
