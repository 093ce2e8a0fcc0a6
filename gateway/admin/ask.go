package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/gateway/admin/api"
)

// The questions that replicas answer each other.
const (
	askState    = "state"    // statePart
	askFlows    = "flows"    // []flowPart
	askRequests = "requests" // requestsPart
	askPlace    = "place"    // placePart
	askAhead    = "ahead"    // aheadPart
	askEvents   = "events"   // []api.Event
	askHistory  = "history"  // []api.Sample
	askHad      = "had"      // hadPart
	askShadow   = "shadow"   // shadowPart
	askEvict    = "evict"    // evictPart
	askMetered  = "metered"  // bool
	// askOverrides is answered by []api.Override.
	askOverrides = "overrides"
)

// question is what one replica asks another.
type question struct {
	Ask string `json:"ask"`
	// Pool is its name, where replicas have several.
	Pool string `json:"pool,omitempty"`
	// Of requests and flows.
	ID       string  `json:"id,omitempty"`
	Flow     string  `json:"flow,omitempty"`
	Priority *int    `json:"priority,omitempty"`
	State    string  `json:"state,omitempty"`
	Rank     float64 `json:"rank,omitempty"`
	Score    float64 `json:"score,omitempty"`
	// From is who asked first to have something done: an address.
	From string `json:"from,omitempty"`
	// Unique makes it a question of its own, whose answer is of a time after it was asked.
	Unique string `json:"unique,omitempty"`
}

var errUnknownQuestion = errors.New("a question that this version does not know")

// reply answers another replica's question, or this one's own.
func (s *Server) reply(ctx context.Context, text []byte) ([]byte, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, fmt.Errorf("read a question: %w", err)
	}
	part, err := s.part(ctx, &q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(part)
}

// part is this replica's part of an answer.
func (s *Server) part(ctx context.Context, q *question) (any, error) {
	switch q.Ask {
	case askState:
		return s.statePart(ctx)
	case askFlows:
		return s.flowParts(ctx)
	case askRequests:
		return s.requestsPart(ctx, q)
	case askPlace:
		return s.placePart(ctx, q)
	case askAhead:
		return s.aheadPart(ctx, q)
	case askEvents:
		return s.eventsHere(), nil
	case askHistory:
		return s.history.all(), nil
	case askHad:
		return s.had.part(), nil
	case askShadow:
		return s.shadowPart(), nil
	case askEvict:
		return s.evictPart(ctx, q)
	case askMetered:
		return s.metered(ctx)
	case askOverrides:
		return s.overridesPart(ctx, q)
	}
	return nil, fmt.Errorf("%w: %q", errUnknownQuestion, q.Ask)
}

// partOf is one replica's part of an answer.
type partOf[T any] struct {
	replica string
	part    T
}

// errNoPart says that a replica has no part in an answer, which is one without it, too: it
// is missing.
var errNoPart = errors.New("it has no part in this")

// gather has this replica and, unless it is asked alone, all others answer a question.
// The parts come by the replicas' ids. Without this one's there is no answer, unless the
// reason is errNoPart.
func gather[T any](ctx context.Context, s *Server, alone bool, q question) ([]partOf[T], api.Fleet, error) {
	fleet := api.Fleet{Replica: s.cfg.Replica, Answered: []string{}, Missing: []api.Missing{}}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	var parts []partOf[T]
	switch own, err := s.part(ctx, &q); {
	case err == nil:
		fleet.Answered = append(fleet.Answered, s.cfg.Replica)
		parts = append(parts, partOf[T]{s.cfg.Replica, own.(T)})
	case errors.Is(err, errNoPart):
		fleet.Missing = append(fleet.Missing, api.Missing{Replica: s.cfg.Replica, Why: err.Error()})
	default:
		return nil, fleet, err
	}
	if alone || s.cfg.Fleet == nil {
		return parts, fleet, nil
	}
	if s.cfg.directory != nil && s.cfg.directory.several {
		q.Pool = s.cfg.Pool
	}
	text, err := json.Marshal(q)
	if err != nil {
		return nil, fleet, err
	}
	for _, a := range s.ask(ctx, text) {
		var part T
		if a.Err == nil {
			a.Err = json.Unmarshal(a.Body, &part)
		}
		if a.Err != nil {
			fleet.Missing = append(fleet.Missing, api.Missing{Replica: a.Replica, Why: a.Err.Error()})
			continue
		}
		fleet.Answered = append(fleet.Answered, a.Replica)
		parts = append(parts, partOf[T]{a.Replica, part})
	}
	slices.Sort(fleet.Answered)
	slices.SortFunc(parts, func(a, b partOf[T]) int { return strings.Compare(a.replica, b.replica) })
	return parts, fleet, nil
}

// fresh is how long the others' answers are taken for those to the same question asked
// again, so that many who look at once cost what one does.
const fresh = 250 * time.Millisecond

// shared are questions under way, and their answers for a moment.
type shared struct {
	mu    sync.Mutex
	asked map[string]*sharedAnswer
}

type sharedAnswer struct {
	done    chan struct{} // closed once there are answers
	at      time.Time     // when they came
	answers []coordinator.Answer
}

// ask asks the other replicas.
func (s *Server) ask(ctx context.Context, text []byte) []coordinator.Answer {
	sh := &s.shared
	sh.mu.Lock()
	a := sh.asked[string(text)]
	if a != nil && (a.at.IsZero() || time.Since(a.at) < fresh) {
		sh.mu.Unlock()
		select {
		case <-a.done:
			return a.answers
		case <-ctx.Done():
		}
		return s.cfg.Fleet.Ask(ctx, text) // which names everybody as missing
	}
	for key, old := range sh.asked {
		if !old.at.IsZero() && time.Since(old.at) >= fresh {
			delete(sh.asked, key)
		}
	}
	if sh.asked == nil {
		sh.asked = make(map[string]*sharedAnswer)
	}
	a = &sharedAnswer{done: make(chan struct{})}
	sh.asked[string(text)] = a
	sh.mu.Unlock()
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Patience) // others may wait for it, too
	defer cancel()
	answers := s.cfg.Fleet.Ask(asking, text)
	sh.mu.Lock()
	a.answers, a.at = answers, time.Now()
	sh.mu.Unlock()
	close(a.done)
	return answers
}
