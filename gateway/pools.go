package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weirflow/weir/gateway/refusal"
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

// forModel returns the pool that a model is for.
func (p *Pools) forModel(model string) (*Pool, *refusal.Refusal) {
	if name, known := p.of(model); known {
		if pool, known := p.named[name]; known {
			return opened(pool)
		}
	}
	return nil, noSuchModel(model)
}

// byName returns the pool of that name.
func (p *Pools) byName(name string) (*Pool, *refusal.Refusal) {
	pool, known := p.named[name]
	if !known {
		return nil, &refusal.Refusal{
			Status: http.StatusNotFound, Code: "pool_not_found",
			Message: fmt.Sprintf("this gateway has no pool %.128q", name),
		}
	}
	return opened(pool)
}

// opened returns a pool if it is open.
func opened(p *Pool) (*Pool, *refusal.Refusal) {
	if p == nil {
		return nil, &refusal.Refusal{
			Status: http.StatusServiceUnavailable, Code: "pool_not_open", Reason: refusal.NoEndpoints, After: time.Second,
			Message: "the pool that the request is for is not open yet; try again",
		}
	}
	return p, nil
}

// noSuchModel answers as OpenAI's API does.
func noSuchModel(model string) *refusal.Refusal {
	return &refusal.Refusal{
		Status: http.StatusNotFound, Code: "model_not_found",
		Message: fmt.Sprintf("The model `%.200s` does not exist or you do not have access to it.", model),
	}
}

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
func (p *Pools) answerModels(method, path string) (body []byte, asked bool, _ *refusal.Refusal) {
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
