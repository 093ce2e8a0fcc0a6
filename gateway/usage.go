package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
)

// Bounds on what is kept of an answer while it streams through.
const (
	maxTail = 64 << 10 // of a JSON answer, whose usage is at its end
	maxLine = 1 << 20  // of an event stream

	maxCandidates = 16 // places of a text that may be its usage object, tried from its end
)

// usageReader passes an answer's body through and reads its usage on the way: from the
// usage object of a JSON answer or, in a stream, from the last event that carries one, with
// every later event counted as one token. What was seen is counted however the answer ends.
type usageReader struct {
	body   io.ReadCloser
	in     *inbound
	stream bool
	pend   []byte // the tail of a JSON answer, or a line that is not complete
	skip   bool   // the line is longer than maxLine
	bytes  int64  // of the answer
	done   bool

	reported       bool      // the server said
	input, output  int64     // what it said last; input, at its price, is the estimate until then
	prompt, cached int64     // the tokens of the prompt, and of it those in a cache
	events         int64     // of the stream since then
	first          time.Time // when its first part came

	report   int64 // the number of tokens at which progress is reported next
	progress func(controller.Usage)
}

// progressEvery is after how many tokens beyond the estimate progress is reported.
const progressEvery = 64

// unboundedOutput is how many tokens an answer may have at least whose request names no
// maximum, whatever its bytes: not every token is sent.
const unboundedOutput = 32 << 10

// newUsageReader reads the usage of an answer to a request whose prompt and answer were
// estimated; progress, if not nil, is called for tokens beyond the estimate as they come.
func newUsageReader(body io.ReadCloser, contentType string, in *inbound, progress func(controller.Usage)) *usageReader {
	return &usageReader{
		body: body, in: in, input: in.inputTokens, prompt: in.inputTokens, stream: strings.HasPrefix(contentType, "text/event-stream"),
		report: in.outputTokens + progressEvery, progress: progress,
	}
}

// usage is what the answer cost so far: no more than it can have.
func (u *usageReader) usage() controller.Usage {
	if !u.reported && !u.stream {
		return controller.Usage{}
	}
	most := u.in.mostOutput
	if most == 0 {
		most = max(u.bytes, unboundedOutput)
	}
	return controller.Usage{InputTokens: u.input, OutputTokens: min(u.output+u.events, max(most, u.events)), Known: true}
}

// tokens are what a model server counted for a request, or what was counted for it.
type tokens struct {
	known, streamed bool
	in, cached, out int64
	first           time.Time // when the answer's first part came; zero before
}

// tokens returns what there is to tell of the answer.
func (u *usageReader) tokens() tokens {
	used := u.usage()
	return tokens{known: used.Known && u.in.counted, streamed: u.stream, in: u.prompt, cached: u.cached, out: used.OutputTokens, first: u.first}
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
	if u.first.IsZero() && len(p) > 0 {
		u.first = time.Now()
	}
	u.bytes += int64(len(p))
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
	if !u.find(data) {
		u.events++
	}
	if used := u.usage(); used.OutputTokens >= u.report && u.progress != nil {
		u.report = used.OutputTokens + progressEvery
		u.progress(used)
	}
}

// finish reads what is left; the body is at its end or was left.
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
}

// find reads the last usage object of a JSON text, or of the end of one, and
// reports whether there was any.
func (u *usageReader) find(text []byte) bool {
	key := []byte(`"usage"`)
	at := len(text)
	if !bytes.Contains(text, key) { // much cheaper than from the end, and so it is with most events
		return false
	}
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
		var said reportedUsage
		if json.NewDecoder(bytes.NewReader(rest[1:])).Decode(&said) == nil && u.hear(&said) {
			return true
		}
	}
	return false
}

// reportedUsage is a usage object, as OpenAI's or Anthropic's API has it.
type reportedUsage struct {
	Prompt     *int64 `json:"prompt_tokens"`
	Completion *int64 `json:"completion_tokens"`
	Input      *int64 `json:"input_tokens"`
	Output     *int64 `json:"output_tokens"`

	// Parts of the prompt that were in a cache: of OpenAI's count, and beside Anthropic's.
	PromptDetails cachedDetails `json:"prompt_tokens_details"`
	InputDetails  cachedDetails `json:"input_tokens_details"`
	CacheRead     int64         `json:"cache_read_input_tokens"`
	CacheMade     int64         `json:"cache_creation_input_tokens"`
}

type cachedDetails struct {
	Tokens int64 `json:"cached_tokens"`
}

// hear uses what the server says, as far as that is possible. It reports false if that is
// nothing.
func (u *usageReader) hear(said *reportedUsage) bool {
	in, out := either(said.Prompt, said.Input), either(said.Completion, said.Output)
	if in == nil && out == nil {
		return false
	}
	u.reported = true
	if in != nil { // a stream may say one early and the other late
		within := func(n int64) int64 { return min(max(n, 0), u.in.mostInput) }
		cached := within(max(said.PromptDetails.Tokens, said.InputDetails.Tokens))
		all := max(within(*in), cached)
		if read := within(said.CacheRead); read > 0 || said.CacheMade > 0 {
			cached = read
			all = within(within(*in) + read + within(said.CacheMade))
		}
		u.prompt, u.cached = all, min(cached, all)
		u.input = all - int64(math.Round(float64(min(cached, all))*(1-u.in.cachedWeight)))
	}
	if out != nil {
		u.output, u.events = min(max(*out, 0), maxTokens), 0
	}
	return true
}

func either(a, b *int64) *int64 {
	if a != nil {
		return a
	}
	return b
}
