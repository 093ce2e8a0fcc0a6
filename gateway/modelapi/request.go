// Package modelapi is what the gateway understands of the APIs of model servers, OpenAI's,
// Anthropic's and vLLM's: which model a request asks for, how much it may cost, and what its
// answer says that it did.
package modelapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/weirflow/weir/gateway/refusal"
)

// Request is what the gateway reads of a request before it is forwarded.
type Request struct {
	Body   []byte
	Model  string
	Prompt []byte // the part of the body, whichever field it is in
	// InputTokens and OutputTokens are estimates, until the answer says what they were.
	InputTokens, OutputTokens int64
	// Counted says that its server counts its tokens.
	Counted bool
	// CachedWeight is the part of a prompt's token that one is charged which was in a cache.
	CachedWeight float64

	mostInput, mostOutput int64 // what is possible at most; 0 for output that has no bound
}

// Paths of the API whose body must be JSON that names a model: OpenAI's, Anthropic's
// and vLLM's.
var modelPaths = []string{
	"/chat/completions", "/completions", "/embeddings", "/responses", "/images/generations",
	"/messages", "/messages/count_tokens", "/inference/v1/generate",
}

const (
	// bytesPerToken is the rough length of a token of English text; the estimate is
	// settled by the server's own count.
	bytesPerToken = 4
	// bytesPerMediaToken is that of what is not text: speech, compressed, has about 16 kB and
	// some 16 tokens a second.
	bytesPerMediaToken = 1024
	// defaultOutputTokens is the expected length of an answer whose request names no
	// maximum.
	defaultOutputTokens = 256
	// templateTokens is what a chat template adds to a prompt at most: no token is shorter
	// than a byte otherwise.
	templateTokens = 4096
	// elsewhereTokens bounds a prompt that names what is not in the request, such as an
	// image by its URL: the longest context there is.
	elsewhereTokens = 1 << 20
	// MaxTokens bounds what a request can ask for, and what is charged of one.
	MaxTokens = 1 << 40
)

// Read parses the body of a request to the API proper, and estimates what the request
// may cost.
func (r *Request) Read(method, path string) *refusal.Refusal {
	r.InputTokens, r.OutputTokens = int64(max(1, len(r.Body)/bytesPerToken)), 1
	if len(r.Body) > 0 && r.Body[0] != '{' && r.Body[0] != '[' {
		r.InputTokens = int64(max(1, len(r.Body)/bytesPerMediaToken))
	}
	r.mostInput = int64(len(r.Body)) + templateTokens
	if !NamesModel(method, path) {
		return nil
	}
	r.Counted = true
	f := fields{each: 1, prompts: 1}
	if err := members(r.Body, f.take); err != nil {
		return refusal.BadRequest("malformed_json", "the request's body is not the JSON object it should be: "+err.Error())
	}
	if f.wrong != "" {
		return refusal.BadRequest("malformed_json", f.wrong)
	}
	if f.model == "" {
		return modelRequired()
	}
	r.Model, r.Prompt = f.model, f.prompt
	r.InputTokens = int64(max(1, len(f.prompt)/bytesPerToken))
	if f.elsewhere || bytes.Contains(r.Body, []byte(`url"`)) || bytes.Contains(r.Body, []byte(`_id"`)) {
		r.mostInput = elsewhereTokens
	}
	one := int64(defaultOutputTokens)
	path = strings.TrimSuffix(path, "/")
	if strings.HasSuffix(path, "/embeddings") || strings.HasSuffix(path, "/count_tokens") {
		one, f.each, f.prompts = 1, 1, 1
	}
	if f.most > 0 {
		one = min(one, f.most)
	}
	answers := times(f.each, f.prompts)
	r.OutputTokens, r.mostOutput = times(one, answers), times(f.most, answers)
	return nil
}

// fields are those of a request's body that say what it may cost.
type fields struct {
	model     string
	prompt    []byte // the longest of the fields that hold one
	most      int64  // tokens of an answer: whichever field says most, since servers differ in which they take
	each      int64  // answers to each prompt
	prompts   int64
	elsewhere bool // the prompt names what is not in the request
	wrong     string
}

// take takes in one member of the body.
func (f *fields) take(name, value []byte) {
	switch string(name) {
	case "model":
		if value[0] != '"' {
			f.fail(name, "must be a string")
			return
		}
		_ = json.Unmarshal(value, &f.model) // it is a valid string
	case "max_tokens", "max_completion_tokens", "max_output_tokens":
		f.most = max(f.most, f.whole(name, value))
	case "n", "best_of":
		f.each = max(f.each, f.whole(name, value))
	case "messages", "input", "token_ids", "prompt":
		if len(value) > len(f.prompt) {
			f.prompt = value
		}
		if string(name) != "prompt" {
			return
		}
		if several := elements(value); several > 1 && value[1] != '-' && (value[1] < '0' || value[1] > '9') {
			f.prompts = int64(several) // texts, and not the tokens of one
		}
	case "previous_response_id", "conversation":
		f.elsewhere = true
	}
}

// whole reads a whole number, however it is written: model servers take 5.0, 1e2 and "5".
func (f *fields) whole(name, value []byte) int64 {
	text := strings.Trim(string(value), `"`)
	if text == "null" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != math.Trunc(n) {
		f.fail(name, fmt.Sprintf("is %.40s, it must be a whole number", value))
		return 0
	}
	return int64(min(max(n, 0), MaxTokens))
}

func (f *fields) fail(name []byte, text string) {
	if f.wrong == "" {
		f.wrong = fmt.Sprintf("the request's %q %s", name, text)
	}
}

// times multiplies without going beyond MaxTokens.
func times(a, b int64) int64 { return int64(min(float64(a)*float64(b), MaxTokens)) }

// Expect uses the mean length of the flow's answers so far as the estimate.
func (r *Request) Expect(output int64) {
	if r.mostOutput > 0 {
		output = min(output, r.mostOutput)
	}
	r.OutputTokens = output
}

// HasMedia reports whether a prompt has parts that are no text, by their types in the APIs.
func (r *Request) HasMedia() bool {
	for _, typ := range []string{`"image_url"`, `"input_image"`, `"input_audio"`, `"video_url"`, `"image"`} {
		if bytes.Contains(r.Prompt, []byte(typ)) {
			return true
		}
	}
	return false
}

// Drop forgets the body once it is not needed any more.
func (r *Request) Drop() { r.Body, r.Prompt = nil, nil }

// Reader reads the body from its beginning.
func (r *Request) Reader() io.ReadCloser {
	b := &bodyReader{}
	b.rest.Reset(r.Body)
	return b
}

// bodyReader reads a body and keeps it no longer than it is read: net/http holds a
// request, and with it the reader, as long as its answer streams.
type bodyReader struct {
	mu   sync.Mutex // net/http may close it while it reads
	rest bytes.Reader
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rest.Read(p)
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest.Reset(nil)
	return nil
}

// NamesModel reports whether the body of such a request must be JSON that names a model. Some
// servers take a method in small letters, and a path with a slash at its end.
func NamesModel(method, path string) bool {
	if !strings.EqualFold(method, http.MethodPost) {
		return false
	}
	path = strings.TrimSuffix(path, "/")
	for _, suffix := range modelPaths {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}
