package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"

	"github.com/weirflow/weir/controller"
)

// Bounds on what is kept of an answer while it streams through.
const (
	maxTail = 64 << 10 // of a JSON answer, whose usage is at its end
	maxLine = 1 << 20  // of an event stream

	maxCandidates = 16 // places of a text that may be its usage object, tried from its end
)

// usageReader passes an answer's body through and reads its usage on the way:
// from the usage object of a JSON answer, from the last event that carries one
// in a stream, or, where the server sends none, by counting the stream's chunks
// as one token each.
type usageReader struct {
	body   io.ReadCloser
	stream bool
	pend   []byte // the tail of a JSON answer, or a line that is not complete
	skip   bool   // the line is longer than maxLine
	chunks int64
	input  int64 // the estimate, for a stream without usage
	usage  controller.Usage
	done   bool

	report   int64 // the number of chunks at which progress is reported next
	progress func(controller.Usage)
}

// progressEvery is after how many tokens beyond the estimate progress is reported.
const progressEvery = 64

// newUsageReader reads the usage of an answer to a request whose prompt and answer were
// estimated; progress, if not nil, is called for tokens beyond the estimate as they come.
func newUsageReader(body io.ReadCloser, contentType string, in *inbound, progress func(controller.Usage)) *usageReader {
	return &usageReader{
		body: body, input: in.inputTokens, stream: strings.HasPrefix(contentType, "text/event-stream"),
		report: in.outputTokens + progressEvery, progress: progress,
	}
}

// Read implements io.Reader.
func (u *usageReader) Read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	u.take(p[:n])
	if err != nil {
		u.finish()
	}
	return n, err
}

// Close implements io.Closer.
func (u *usageReader) Close() error {
	u.finish()
	return u.body.Close()
}

func (u *usageReader) take(p []byte) {
	if !u.stream {
		u.pend = append(u.pend, p...)
		if over := len(u.pend) - maxTail; over > maxTail {
			u.pend = append(u.pend[:0], u.pend[over:]...)
		}
		return
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if len(u.pend)+len(p) > maxLine {
				u.pend, u.skip = u.pend[:0], true
			}
			if !u.skip {
				u.pend = append(u.pend, p...)
			}
			return
		}
		line := p[:end]
		if len(u.pend) > 0 {
			u.pend = append(u.pend, line...)
			line = u.pend
		}
		if !u.skip {
			u.event(line)
		}
		u.pend, u.skip = u.pend[:0], false
		p = p[end+1:]
	}
}

// event takes in one line of an event stream.
func (u *usageReader) event(line []byte) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 || bytes.Equal(data, []byte("[DONE]")) {
		return
	}
	if u.find(data) {
		return
	}
	if u.chunks++; u.chunks == u.report && u.progress != nil {
		u.report += progressEvery
		u.progress(controller.Usage{InputTokens: u.input, OutputTokens: u.chunks, Known: true})
	}
}

// finish works out the usage; the body is at its end or was left.
func (u *usageReader) finish() {
	if u.done {
		return
	}
	u.done = true
	if !u.stream {
		u.find(u.pend)
	} else if len(u.pend) > 0 && !u.skip {
		u.event(u.pend)
	}
	u.pend = nil
	if !u.usage.Known && u.stream {
		u.usage = controller.Usage{InputTokens: u.input, OutputTokens: u.chunks, Known: true}
	}
}

// find reads the last usage object of a JSON text, or of the end of one, and
// reports whether there was any.
func (u *usageReader) find(text []byte) bool {
	key := []byte(`"usage"`)
	at := len(text)
	for range maxCandidates {
		if at = bytes.LastIndex(text[:at], key); at < 0 {
			return false
		}
		if at > 0 && text[at-1] == '\\' {
			continue // inside a string
		}
		rest := bytes.TrimLeft(text[at+len(key):], " \t\r\n")
		if len(rest) == 0 || rest[0] != ':' {
			continue
		}
		var usage struct {
			Prompt     *int64 `json:"prompt_tokens"`
			Completion *int64 `json:"completion_tokens"`
			Input      *int64 `json:"input_tokens"`
			Output     *int64 `json:"output_tokens"`
		}
		if json.NewDecoder(bytes.NewReader(rest[1:])).Decode(&usage) != nil {
			continue
		}
		in, out := either(usage.Prompt, usage.Input), either(usage.Completion, usage.Output)
		if in == nil && out == nil {
			continue
		}
		u.usage.Known = true
		if in != nil { // a stream may say one early and the other late
			u.usage.InputTokens = count(in)
		}
		if out != nil {
			u.usage.OutputTokens = count(out)
		}
		return true
	}
	return false
}

func either(a, b *int64) *int64 {
	if a != nil {
		return a
	}
	return b
}

// count bounds what a server claims.
func count(n *int64) int64 { return min(max(*n, 0), 1<<40) }
