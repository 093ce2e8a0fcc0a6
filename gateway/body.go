package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"

	"github.com/weirflow/weir/gateway/budget"
	"github.com/weirflow/weir/gateway/modelapi"
	"github.com/weirflow/weir/gateway/refusal"
)

// sessionBytes is about what a request that waits takes beside its headers and its body:
// the connection's buffers and its goroutines, and what flow control keeps.
const sessionBytes = 24 << 10

// pieceBytes is how much of a body is read at a time. After each piece but the first, whoever else is ready
// goes first: what comes as fast as it is read would otherwise keep a CPU until Go takes it away after 10 ms,
// and each step of a small request would wait for that, behind hundreds of uploads.
const pieceBytes = 32 << 10

// Body is a request's body, what was read in it, and the memory that the request takes. It is
// used by the session's goroutine.
type Body struct {
	life    *life
	memory  *budget.Part
	most    int64            // bytes that it may have
	request modelapi.Request // has the bytes
	rewrite string           // the model that a header names instead of the body; empty for none
	renamed bool             // the body asks for it, or for that of a rule
}

// Read reads the body, of which so many bytes are expected; below 0 if that is not known.
// What it does not fail with a refusal for is the reader's own error.
func (b *Body) Read(r io.Reader, expected int64) error {
	if expected > b.most {
		return tooLarge(b.most)
	}
	var end [1]byte
	for {
		into := end[:]
		if int64(len(b.request.Body)) != expected {
			if err := b.reserve(1, expected); err != nil {
				return err
			}
			have := len(b.request.Body)
			into = b.request.Body[have:min(cap(b.request.Body), have+pieceBytes)]
		}
		n, err := r.Read(into)
		b.request.Body = append(b.request.Body, into[:n]...) // where it is already
		if len(b.request.Body) > pieceBytes {
			runtime.Gosched()
		}
		switch {
		case int64(len(b.request.Body)) > b.most:
			return tooLarge(b.most)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// Add takes in a part of the body, whose bytes are the body's from then on.
func (b *Body) Add(part []byte) error {
	if int64(len(b.request.Body)+len(part)) > b.most {
		return tooLarge(b.most)
	}
	if b.request.Body == nil { // mostly the only one
		if refused := b.take(int64(cap(part))); refused != nil {
			return refused
		}
		b.request.Body = part
		return nil
	}
	if err := b.reserve(len(part), -1); err != nil {
		return err
	}
	b.request.Body = append(b.request.Body, part...)
	return nil
}

// Hold counts so many bytes which the request keeps beside its headers and its body, until it ends.
func (b *Body) Hold(bytes int64) *refusal.Refusal { return b.take(bytes) }

// take takes so many bytes of the budget.
func (b *Body) take(bytes int64) *refusal.Refusal {
	err := b.memory.Take(b.life.ctx, bytes)
	if err == nil {
		return nil
	}
	if errors.Is(err, budget.ErrUsedUp) {
		err = errMemory
	}
	b.life.cancel(err)
	return b.life.ended()
}

// reserve makes room for more bytes of the body. Room grows as bytes come, and not by
// what is announced.
func (b *Body) reserve(more int, expected int64) error {
	have, need := cap(b.request.Body), len(b.request.Body)+more
	if need <= have {
		return nil
	}
	size := max(need, 2*have, 4<<10)
	if int64(need) <= expected {
		size = min(size, int(expected))
	}
	if refused := b.take(int64(size - have)); refused != nil {
		return refused
	}
	body := make([]byte, len(b.request.Body), size)
	copy(body, b.request.Body)
	b.request.Body = body
	return nil
}

// Drop forgets the body, which is not needed any more.
func (b *Body) Drop() {
	size := int64(cap(b.request.Body))
	b.request.Drop()
	b.memory.GiveBack(size)
}

// Bytes are the body, until it is dropped.
func (b *Body) Bytes() []byte { return b.request.Body }

// Reader reads the body from its beginning.
func (b *Body) Reader() io.ReadCloser { return b.request.Reader() }

// Renamed reports whether the body is another than that which came, as it asks for another model.
func (b *Body) Renamed() bool { return b.renamed }

// rename has the body ask for another model. Both bodies are there for a moment, and both are
// taken of the budget.
func (b *Body) rename(model string) *refusal.Refusal {
	body := b.request.Body
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
	if size > b.most {
		return tooLarge(b.most)
	}
	if refused := b.take(size); refused != nil {
		return refused
	}
	renamed := append(append(append(make([]byte, 0, size), body[:from]...), name...), body[to:]...)
	b.request.Body, b.request.Prompt, b.renamed = renamed, nil, true // the prompt was a part of the other one
	b.memory.GiveBack(int64(cap(body)))
	return nil
}

// renameByHeader has the request ask for the model that its header names.
func (b *Body) renameByHeader(method, path string) *refusal.Refusal {
	if b.rewrite == "" || !modelapi.NamesModel(method, path) {
		return nil
	}
	return b.rename(b.rewrite)
}

// renameByRule has the request ask for another model as the rule says, unless its header does.
func (b *Body) renameByRule(rule func(model string) string, method, path string) *refusal.Refusal {
	if rule == nil || b.rewrite != "" || !modelapi.NamesModel(method, path) {
		return nil
	}
	to := rule(b.request.Model)
	if to == b.request.Model {
		return nil
	}
	if refused := b.rename(to); refused != nil {
		return refused
	}
	return b.request.Read(method, path)
}

func tooLarge(limit int64) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
		Message: fmt.Sprintf("the request's body is larger than the limit of %d bytes", limit),
	}
}
