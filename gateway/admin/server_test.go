package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/gateway/admin/api"
)

// TestFleetWide asks each of three replicas, between which the requests are spread, and
// wants the same answers.
func TestFleetWide(t *testing.T) {
	f := newFleet(t, 3, 2)
	for i := range 9 {
		f.begin(string(rune('a'+i%3)), "t"+fmt.Sprint(i%2), fmt.Sprint("request-", i), 0)
	}
	for id, m := range f.replicas {
		var pool api.Pool
		eventually(t, "2 in flight and 7 waiting", func() bool {
			m.get(t, "/v1/pool", 200, &pool)
			return pool.InFlight == 2 && pool.Queued == 7
		})
		if *pool.Limit != 2 || pool.Saturation != 1 || len(pool.Fleet.Missing) != 0 || strings.Join(pool.Fleet.Answered, "") != "abc" || pool.Fleet.Replica != id {
			t.Errorf("at %s: %+v", id, pool)
		}
		if len(pool.Bands) != 1 || pool.Bands[0].Queued != 7 || pool.Bands[0].InFlight != 2 || pool.Bands[0].Flows != 2 {
			t.Errorf("bands at %s: %+v", id, pool.Bands)
		}
		var flows api.Flows
		m.get(t, "/v1/flows?sort=-queued", 200, &flows)
		if len(flows.Flows) != 2 || flows.Flows[0].Queued+flows.Flows[1].Queued != 7 || flows.Total != 2 {
			t.Errorf("flows at %s: %+v", id, flows)
		}
		var requests api.Requests
		m.get(t, "/v1/requests?state=waiting&limit=3", 200, &requests)
		if len(requests.Requests) != 3 || requests.Total != 7 || requests.Next == nil || *requests.Next != 3 {
			t.Errorf("requests at %s: %+v", id, requests)
		}
		for i := 1; i < len(requests.Requests); i++ {
			if requests.Requests[i].Arrived.Before(requests.Requests[i-1].Arrived) {
				t.Errorf("requests at %s are not in the order of their arrival", id)
			}
		}
		var replicas api.Replicas
		m.get(t, "/v1/replicas", 200, &replicas)
		if len(replicas.Replicas) != 3 || !replicas.Replicas[0].Answered || replicas.Replicas[0].Version != "v1" {
			t.Errorf("replicas at %s: %+v", id, replicas)
		}
		var one api.Pool
		m.get(t, "/v1/pool?scope=replica", 200, &one)
		if one.Queued < 1 || one.Queued > 3 || strings.Join(one.Fleet.Answered, "") != id {
			t.Errorf("%s alone: %+v", id, one)
		}
	}
}

// TestMissing wants a replica that does not answer to be named.
func TestMissing(t *testing.T) {
	f := newFleet(t, 3, 1)
	f.mu.Lock()
	f.silent["b"] = true
	f.mu.Unlock()
	for _, path := range []string{"/v1/pool", "/v1/flows", "/v1/requests", "/v1/endpoints", "/v1/replicas", "/v1/shards", "/v1/config", "/v1/events"} {
		var answer struct {
			Fleet api.Fleet `json:"fleet"`
		}
		w := httptest.NewRecorder()
		f.replicas["a"].ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d, %v", path, w.Code, err)
		}
		if m := answer.Fleet.Missing; len(m) != 1 || m[0].Replica != "b" || m[0].Why != "it does not answer" || strings.Join(answer.Fleet.Answered, "") != "ac" {
			t.Errorf("%s: %+v, want b to be missing", path, answer.Fleet)
		}
	}
}

// TestBadQueries wants what is wrong with a query to be told.
func TestBadQueries(t *testing.T) {
	m := newFleet(t, 1, 1).replicas["a"]
	for path, want := range map[string]string{
		"/v1/flows?limit=0": "limit=0", "/v1/flows?limit=100000": "from 1 to 1000", "/v1/flows?sort=size": "sort=size", "/v1/flows?tenant=x": `"tenant"`,
		"/v1/pool?scope=all": "scope=all", "/v1/requests?priority=high": "priority=high", "/v1/requests?state=done": "state=done", "/v1/requests?state=at_limit": "waiting and in_flight", "/v1/history?since=now": "since=now",
		"/v1/flows?offset=-1": "offset=-1", "/v1/pool?%zz": "cannot be read",
	} {
		var e api.Error
		if m.get(t, path, 400, &e); !strings.Contains(e.Message, want) {
			t.Errorf("%s: %q, want it to say %q", path, e.Message, want)
		}
	}
	var e api.Error
	if m.get(t, "/v1/nothing", 404, &e); !strings.Contains(e.Message, "/v1/nothing") {
		t.Errorf("an unknown path: %q", e.Message)
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/pool", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", w.Code)
	}
}

// TestHostileAnswers has another replica answer whatever, which must not reach further
// than its own part.
func TestHostileAnswers(t *testing.T) {
	f := newFleet(t, 1, 4)
	for _, body := range []string{
		``, `null`, `{}`, `[]`, `"x"`, `{"bands":[{"priority":1,"queued":-5,"recent":{"w":[99,1]}}],"shards":{"-1":[1,2],"900":[1,1]},"owners":["x"]}`,
		`{"flows":[{"i":"<b>","q":-1,"c":1e308,"n":{"w":[1]}}],"policies":{"0":"p"}}`, `{"requests":[{"id":"x"}],"all":-7}`,
		`[{"kind":"k","at":"9999-12-31T23:59:59Z"}]`, strings.Repeat("[", 20000),
	} {
		m := f.replicas["a"]
		m.cfg.Fleet = parrot(body)
		for _, path := range []string{"/v1/pool", "/v1/flows", "/v1/requests", "/v1/endpoints", "/v1/replicas", "/v1/shards", "/v1/config", "/v1/events"} {
			m.shared = shared{}
			w := httptest.NewRecorder()
			m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s with %.40q: status %d", path, body, w.Code)
			}
		}
	}
}

// parrot is a fleet of one other replica that answers everything with the same.
type parrot string

func (parrot) AnswerWith(func(context.Context, []byte) ([]byte, error)) {}

func (a parrot) Ask(context.Context, []byte) []coordinator.Answer {
	return []coordinator.Answer{{Replica: "x", Body: []byte(a)}}
}

// TestConsoleFiles wants the console's files to be served by their types, under a policy
// that lets nothing else in, and their scripts to make no markup of text.
func TestConsoleFiles(t *testing.T) {
	m := newFleet(t, 1, 1).replicas["a"]
	files, err := consoleFiles.ReadDir("console")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	paths := []string{"/"}
	for _, f := range files {
		paths = append(paths, "/console/"+f.Name())
	}
	for _, path := range paths {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		h := w.Header()
		if w.Code != 200 || h.Get("Content-Type") == "" || h.Get("Content-Security-Policy") != consolePolicy || h.Get("X-Content-Type-Options") != "nosniff" || !IsConsole(path) {
			t.Errorf("%s: status %d, %v", path, w.Code, h)
		}
		for _, no := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "//cdn", "localStorage", "document.cookie", " style=\""} {
			if strings.Contains(w.Body.String(), no) {
				t.Errorf("%s has %s", path, no)
			}
		}
	}
	for _, path := range []string{"/console/", "/console/nothing.js", "/console/../server.go", "/console/x/y", "/favicon.ico"} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Code == 200 {
			t.Errorf("%s is served", path)
		}
	}
	for _, path := range []string{"/v1/pool", "/metrics", "/console/../v1/pool", "/console", "/console/", "//", "/console/a/b"} {
		if IsConsole(path) {
			t.Errorf("%s counts as one of the console's files", path)
		}
	}
}
