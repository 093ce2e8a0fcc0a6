package modelapi

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"time"

	"github.com/weirflow/weir/controller"
)

// Bounds on what is read of an event stream.
const (
	maxLine = 1 << 20

	maxCandidates = 16 // places of a text that may be its usage object, tried from its end
)

// Answer passes an answer's body through and reads its usage on the way: from the
// usage object of a JSON answer or, in a stream, from the last event that carries one, with
// every later event counted as one token. What was seen is counted however the answer ends.
type Answer struct {
	body    io.ReadCloser
	request *Request
	stream  bool
	whole   usageMember // of a JSON answer
	pend    []byte      // a line that is not complete
	skip    bool        // the line is longer than maxLine
	bytes   int64       // of the answer
	done    bool

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

// NewAnswer reads the usage of an answer to a request whose prompt and answer were
// estimated; progress, if not nil, is called for tokens beyond the estimate as they come.
func NewAnswer(body io.ReadCloser, contentType string, request *Request, progress func(controller.Usage)) *Answer {
	return &Answer{
		body: body, request: request, input: request.InputTokens, prompt: request.InputTokens, stream: strings.HasPrefix(contentType, "text/event-stream"),
		report: request.OutputTokens + progressEvery, progress: progress,
	}
}

// Reported says whether the server said what the answer cost.
func (a *Answer) Reported() bool { return a.reported }

// Usage is what the answer cost so far: no more than it can have.
func (a *Answer) Usage() controller.Usage {
	if !a.reported && !a.stream {
		return controller.Usage{}
	}
	most := a.request.mostOutput
	if most == 0 {
		most = max(a.bytes, unboundedOutput)
	}
	return controller.Usage{InputTokens: a.input, OutputTokens: min(a.output+a.events, max(most, a.events)), Known: true}
}

// Tokens are what a model server counted for a request, or what was counted for it.
type Tokens struct {
	Known, Streamed bool
	In, Cached, Out int64
	First           time.Time // when the answer's first part came; zero before
}

// Tokens returns what there is to tell of the answer.
func (a *Answer) Tokens() Tokens {
	used := a.Usage()
	return Tokens{Known: used.Known && a.request.Counted, Streamed: a.stream, In: a.prompt, Cached: a.cached, Out: used.OutputTokens, First: a.first}
}

// Read implements io.Reader.
func (a *Answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.Take(p[:n])
	if err != nil {
		a.Finish()
	}
	return n, err
}

// Close implements io.Closer.
func (a *Answer) Close() error {
	a.Finish()
	return a.body.Close()
}

// Take takes in a part of the body that is not read through the answer.
func (a *Answer) Take(p []byte) {
	if a.first.IsZero() && len(p) > 0 {
		a.first = time.Now()
	}
	a.bytes += int64(len(p))
	if !a.stream {
		a.whole.take(p, a.member)
		return
	}
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			if len(a.pend)+len(p) > maxLine {
				a.pend, a.skip = a.pend[:0], true
			}
			if !a.skip {
				a.pend = append(a.pend, p...)
			}
			return
		}
		line := p[:end]
		if len(a.pend) > 0 {
			a.pend = append(a.pend, line...)
			line = a.pend
		}
		if !a.skip {
			a.event(line)
		}
		a.pend, a.skip = a.pend[:0], false
		p = p[end+1:]
	}
}

// event takes in one line of an event stream.
func (a *Answer) event(line []byte) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 || bytes.Equal(data, []byte("[DONE]")) {
		return
	}
	if !a.readUsage(data) {
		a.events++
	}
	if used := a.Usage(); used.OutputTokens >= a.report && a.progress != nil {
		a.report = used.OutputTokens + progressEvery
		a.progress(used)
	}
}

// Finish reads what is left; the body is at its end or was left.
func (a *Answer) Finish() {
	if a.done {
		return
	}
	a.done = true
	if len(a.pend) > 0 && !a.skip {
		a.event(a.pend)
	}
	a.pend = nil
}

// member takes in the usage of a JSON answer.
func (a *Answer) member(text []byte) {
	var said reportedUsage
	if json.Unmarshal(text, &said) == nil {
		a.hear(&said)
	}
}

// readUsage reads the last usage object of an event, and reports whether there was any.
func (a *Answer) readUsage(text []byte) bool {
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
		if json.NewDecoder(bytes.NewReader(rest[1:])).Decode(&said) == nil && a.hear(&said) {
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
func (a *Answer) hear(said *reportedUsage) bool {
	in, out := either(said.Prompt, said.Input), either(said.Completion, said.Output)
	if in == nil && out == nil {
		return false
	}
	a.reported = true
	if in != nil { // a stream may say one early and the other late
		within := func(n int64) int64 { return min(max(n, 0), a.request.mostInput) }
		cached := within(max(said.PromptDetails.Tokens, said.InputDetails.Tokens))
		all := max(within(*in), cached)
		if read := within(said.CacheRead); read > 0 || said.CacheMade > 0 {
			cached = read
			all = within(within(*in) + read + within(said.CacheMade))
		}
		a.prompt, a.cached = all, min(cached, all)
		a.input = all - int64(math.Round(float64(min(cached, all))*(1-a.request.CachedWeight)))
	}
	if out != nil {
		a.output, a.events = min(max(*out, 0), MaxTokens), 0
	}
	return true
}

func either(a, b *int64) *int64 {
	if a != nil {
		return a
	}
	return b
}
