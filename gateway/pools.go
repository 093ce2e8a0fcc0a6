package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Pools are the pools of a gateway, and which of them a request is for. They do not change;
// see [Gateway.SetPools].
type Pools struct {
	only   *Pool // every request is for it; nil where the model says which one
	named  map[string]*Pool
	of     func(model string) (pool string, known bool)
	models []string // sorted
	since  time.Time
}

// Only has every request go to one pool.
func Only(p *Pool) *Pools { return &Pools{only: p} }

// ByModel has each request go to the pool that its model is for, by the name that of returns.
// A pool that is nil is not open yet: its requests are refused until it is.
// The models are those that clients are told of.
func ByModel(named map[string]*Pool, of func(model string) (pool string, known bool), models []string) *Pools {
	models = slices.Clone(models)
	slices.Sort(models)
	return &Pools{named: named, of: of, models: models, since: time.Now()}
}

// find finds the pool of the session's request by its model, once the body is there.
func (s *session) find() *refusal {
	model := s.in.model
	if model == "" {
		model = modelOf(s.in.body)
		s.in.model = model
	}
	if model == "" {
		return modelRequired()
	}
	s.record.model = told(model)
	pools := s.gateway.pools.Load()
	if name, known := pools.of(model); known {
		if p, known := pools.named[name]; known {
			return s.enterOpen(p)
		}
	}
	return noSuchModel(model)
}

// enterNamed has the session's request be for the pool of that name.
func (s *session) enterNamed(name string) *refusal {
	p, known := s.gateway.pools.Load().named[name]
	if !known {
		return &refusal{
			status: http.StatusNotFound, code: "pool_not_found",
			message: fmt.Sprintf("this gateway has no pool %.128q", name),
		}
	}
	return s.enterOpen(p)
}

// enterOpen has the session's request be for a pool, if that is open.
func (s *session) enterOpen(p *Pool) *refusal {
	if p == nil {
		return &refusal{
			status: http.StatusServiceUnavailable, code: "pool_not_open", reason: reasonNoEndpoints, after: time.Second,
			message: "the pool that the request is for is not open yet; try again",
		}
	}
	s.enter(p)
	return nil
}

func modelRequired() *refusal {
	return badRequest("model_required", `the request names no model; add "model" to its body`)
}

// noSuchModel answers as OpenAI's API does.
func noSuchModel(model string) *refusal {
	return &refusal{
		status: http.StatusNotFound, code: "model_not_found",
		message: fmt.Sprintf("The model `%.200s` does not exist or you do not have access to it.", model),
	}
}

// modelOf is the model that a body names of a path whose body is not read otherwise: JSON, or
// a form with a file, as for speech. It is empty if there is none.
func modelOf(body []byte) string {
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		var f fields
		_ = members(body, func(name, value []byte) { // what cannot be read names none
			if string(name) == "model" {
				f.take(name, value)
			}
		})
		return f.model
	}
	line, _, _ := bytes.Cut(body, []byte("\r\n"))
	boundary, ok := strings.CutPrefix(string(line), "--")
	if !ok || boundary == "" || len(boundary) > maxBoundary {
		return ""
	}
	for form := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := form.NextPart()
		if err != nil {
			return ""
		}
		if part.FormName() == "model" {
			text, _ := io.ReadAll(io.LimitReader(part, maxModelName)) // what cannot be read names none
			return string(text)
		}
	}
}

// maxBoundary bounds the boundary of a form, in bytes, as the standard has it.
const maxBoundary = 70

// model is a model as OpenAI's API tells of it.
type model struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// modelsPath lists the models.
const modelsPath = "/v1/models"

// answerModels answers a question for the models of all pools, in JSON, and reports whether it
// was one. Where there is one pool, its servers know better.
func (p *Pools) answerModels(method, path string) (body []byte, asked bool, _ *refusal) {
	rest, ok := strings.CutPrefix(path, modelsPath)
	if p.only != nil || !ok || rest != "" && rest[0] != '/' || method != http.MethodGet && method != http.MethodHead {
		return nil, false, nil
	}
	var answer any
	if id := strings.Trim(rest, "/"); id == "" {
		all := make([]model, 0, len(p.models))
		for _, name := range p.models {
			all = append(all, p.model(name))
		}
		answer = map[string]any{"object": "list", "data": all}
	} else if _, known := slices.BinarySearch(p.models, id); known {
		answer = p.model(id)
	} else {
		return nil, true, noSuchModel(id)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return body, true, nil
}

func (p *Pools) model(name string) model {
	return model{ID: name, Object: "model", Created: p.since.Unix(), OwnedBy: "weir"}
}
