package modelserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Server is the simulated server, an http.Handler.
type Server struct {
	engine engine
	mux    *http.ServeMux
	served atomic.Uint64
}

// New returns a server.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("model server: %w", err)
	}
	s := &Server{engine: engine{cfg: cfg}, mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /v1/chat/completions", s.counted(s.chat))
	s.mux.HandleFunc("POST /v1/completions", s.counted(s.complete))
	s.mux.HandleFunc("POST /v1/embeddings", s.counted(s.embed))
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /health", func(http.ResponseWriter, *http.Request) {})
	s.mux.HandleFunc("GET /metrics", s.metrics)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// counted reports the request while it is in flight.
func (s *Server) counted(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if count := s.engine.cfg.InFlight; count != nil {
			count(+1)
			defer count(-1)
		}
		h(w, r)
	}
}

// body is what the server reads of a request.
type body struct {
	Model     string          `json:"model"`
	Messages  json.RawMessage `json:"messages"`
	Prompt    json.RawMessage `json:"prompt"`
	Input     json.RawMessage `json:"input"`
	MaxTokens int             `json:"max_tokens"`
	MaxNew    int             `json:"max_completion_tokens"`
	Stream    bool            `json:"stream"`
	Options   struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

const maxBody = 64 << 20

// read parses a request, or answers it with an error.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (b body, prompt, output int, ok bool) {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&b); err != nil {
		fail(w, http.StatusBadRequest, "malformed request: "+err.Error())
		return
	}
	prompt = max(1, (len(b.Messages)+len(b.Prompt)+len(b.Input))/4)
	output = max(b.MaxTokens, b.MaxNew)
	if output <= 0 {
		output = s.engine.cfg.OutputTokens
	}
	if prompt+output > maxTokens {
		fail(w, http.StatusBadRequest, fmt.Sprintf("%d tokens are more than the model's %d", prompt+output, maxTokens))
		return
	}
	return b, prompt, output, true
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error"}})
}

// word is the token of a number; every one is a word and a space.
func word(n int) string {
	words := [...]string{"water ", "runs ", "over ", "the ", "weir ", "and ", "on "}
	return words[n%len(words)]
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	s.generate(w, r, "chat.completion", func(text string, stream, last bool) map[string]any {
		part := map[string]any{"role": "assistant", "content": text}
		choice := map[string]any{"index": 0, "finish_reason": nil, "message": part}
		if stream {
			delete(choice, "message")
			choice["delta"] = part
		}
		if last {
			choice["finish_reason"] = "length"
		}
		return choice
	})
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	s.generate(w, r, "text_completion", func(text string, _, last bool) map[string]any {
		choice := map[string]any{"index": 0, "text": text, "finish_reason": nil}
		if last {
			choice["finish_reason"] = "length"
		}
		return choice
	})
}

// generate runs a request through the engine and answers it, as a stream or
// whole.
func (s *Server) generate(w http.ResponseWriter, r *http.Request, object string, choice func(text string, stream, last bool) map[string]any) {
	b, prompt, output, ok := s.read(w, r)
	if !ok {
		return
	}
	seq := s.engine.submit(prompt, output)
	answer := map[string]any{
		"id": fmt.Sprintf("cmpl-%d", s.served.Add(1)), "object": object, "created": time.Now().Unix(), "model": b.Model,
	}
	usage := map[string]any{"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
	if b.Stream {
		if object == "chat.completion" {
			answer["object"] = "chat.completion.chunk"
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
	}
	send := func() {
		data, err := json.Marshal(answer)
		if err == nil {
			_, _ = fmt.Fprintf(w, "data: %s\n\n", data)
			_ = http.NewResponseController(w).Flush()
		}
	}
	var text strings.Builder
	for made := 0; made < output; made++ {
		select {
		case _, more := <-seq.tokens:
			if !more {
				return
			}
		case <-r.Context().Done():
			s.engine.abandon(seq)
			return
		}
		if b.Stream {
			answer["choices"] = []any{choice(word(made), true, made == output-1)}
			send()
		} else {
			text.WriteString(word(made))
		}
	}
	if !b.Stream {
		answer["choices"], answer["usage"] = []any{choice(text.String(), false, true)}, usage
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	if b.Options.IncludeUsage {
		answer["choices"], answer["usage"] = []any{}, usage
		send()
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func (s *Server) embed(w http.ResponseWriter, r *http.Request) {
	b, prompt, _, ok := s.read(w, r)
	if !ok {
		return
	}
	seq := s.engine.submit(prompt, 1)
	select {
	case <-seq.tokens:
	case <-r.Context().Done():
		s.engine.abandon(seq)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"object": "list", "model": b.Model,
		"data":  []any{map[string]any{"object": "embedding", "index": 0, "embedding": []float64{0.1, 0.2, 0.3}}},
		"usage": map[string]any{"prompt_tokens": prompt, "total_tokens": prompt},
	})
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"object": "list", "data": []any{
		map[string]any{"id": s.engine.cfg.Model, "object": "model", "owned_by": "weir"},
	}})
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	running, waiting, cache := s.engine.load()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	metricNames[s.engine.cfg.Engine].write(w, s.engine.cfg.Model, running, waiting, cache)
}
