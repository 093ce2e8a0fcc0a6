package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// inbound is what the gateway reads of a request before it is forwarded.
type inbound struct {
	body                      []byte
	model                     string
	prompt                    []byte // as sent, whichever field it is in
	inputTokens, outputTokens int64  // estimates
	maxOutput                 int64  // what the request allows at most; 0 for no bound
}

// Paths of the API whose body must be JSON that names a model: OpenAI's, Anthropic's
// and vLLM's.
var modelPaths = []string{
	"/chat/completions", "/completions", "/embeddings", "/responses", "/images/generations",
	"/messages", "/messages/count_tokens", "/inference/v1/generate",
}

// bytesPerToken is the rough length of a token of English text; the estimate is
// settled by the server's own count.
const bytesPerToken = 4

// defaultOutputTokens is the expected length of an answer whose request names no
// maximum.
const defaultOutputTokens = 256

// read reads the body of an HTTP request, once.
func (in *inbound) read(w http.ResponseWriter, r *http.Request, limit int64) *refusal {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		var over *http.MaxBytesError
		if errors.As(err, &over) {
			return tooLarge(limit)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || r.Context().Err() != nil {
			return &refusal{status: statusClientGone, code: "client_gone", message: "the client went away while sending its request"}
		}
		return badRequest("unreadable_body", "the request's body could not be read: "+err.Error())
	}
	in.body = buf.Bytes()
	return nil
}

// add appends a part of the body.
func (in *inbound) add(part []byte, limit int64) *refusal {
	if int64(len(in.body)+len(part)) > limit {
		return tooLarge(limit)
	}
	in.body = append(in.body, part...)
	return nil
}

// drop forgets the body once it is not needed any more.
func (in *inbound) drop() { in.body, in.prompt = nil, nil }

// reader reads the body from its beginning.
func (in *inbound) reader() io.ReadCloser { return io.NopCloser(bytes.NewReader(in.body)) }

func tooLarge(limit int64) *refusal {
	return &refusal{
		status: http.StatusRequestEntityTooLarge, code: "body_too_large",
		message: fmt.Sprintf("the request's body is larger than the limit of %d bytes", limit),
	}
}

// check parses the body of a request to the API proper, and estimates what the request
// may cost.
func (in *inbound) check(method, path string) *refusal {
	in.inputTokens, in.outputTokens = 1, 1
	if !isModelPath(method, path) {
		return nil
	}
	var fields struct {
		Model               *string         `json:"model"`
		MaxTokens           *int64          `json:"max_tokens"`
		MaxCompletionTokens *int64          `json:"max_completion_tokens"`
		MaxOutputTokens     *int64          `json:"max_output_tokens"`
		Messages            json.RawMessage `json:"messages"`
		Prompt              json.RawMessage `json:"prompt"`
		Input               json.RawMessage `json:"input"`
		TokenIDs            json.RawMessage `json:"token_ids"`
	}
	if err := json.Unmarshal(in.body, &fields); err != nil {
		return badRequest("malformed_json", "the request's body is not the JSON object it should be: "+err.Error())
	}
	if fields.Model == nil || *fields.Model == "" {
		return badRequest("model_required", `the request names no model; add "model" to its body`)
	}
	in.model = *fields.Model
	in.prompt = slices.MaxFunc([][]byte{fields.Messages, fields.Prompt, fields.Input, fields.TokenIDs}, func(a, b []byte) int { return len(a) - len(b) })
	in.inputTokens = int64(max(1, len(in.prompt)/bytesPerToken))
	in.outputTokens = defaultOutputTokens
	if strings.HasSuffix(path, "/embeddings") || strings.HasSuffix(path, "/count_tokens") {
		in.outputTokens = 1
	}
	for _, most := range []*int64{fields.MaxTokens, fields.MaxCompletionTokens, fields.MaxOutputTokens} {
		if most != nil && *most > 0 {
			in.outputTokens = min(in.outputTokens, *most)
			in.maxOutput = *most
		}
	}
	return nil
}

// expect uses the mean length of the flow's answers so far as the estimate.
func (in *inbound) expect(output int64) {
	if in.maxOutput > 0 {
		output = min(output, in.maxOutput)
	}
	in.outputTokens = output
}

func isModelPath(method, path string) bool {
	if method != http.MethodPost {
		return false
	}
	for _, suffix := range modelPaths {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}
