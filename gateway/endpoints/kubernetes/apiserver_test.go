package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Where the kinds are served.
const (
	podsPath       = "/api/v1/namespaces/models/pods"
	poolsPath      = "/apis/inference.networking.k8s.io/v1/namespaces/models/inferencepools"
	alphaPoolsPath = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/models/inferencepools"
	objectivesPath = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/models/inferenceobjectives"
	rewritesPath   = "/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/models/inferencemodelrewrites"
	llmdRewrites   = "/apis/llm-d.ai/v1alpha2/namespaces/models/inferencemodelrewrites"
	llmdPath       = "/apis/llm-d.ai/v1alpha2/namespaces/models/inferenceobjectives"
)

// apiServer answers lists and watches as a kube-apiserver does. It knows the field
// selector metadata.name, and no watch that begins with a list.
type apiServer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	version int
	objects map[string]map[string]any // by path and name
	status  map[string]int            // what a path answers instead
	watches map[*apiWatch]bool
	history []apiEvent
}

// apiEvent is one change. Its place in the history is the version before it.
type apiEvent struct {
	path, name string
	text       []byte
}

type apiWatch struct {
	path, name string // all names if it is empty
	events     chan []byte
	ended      chan struct{}
}

func newAPIServer(t *testing.T) *apiServer {
	a := &apiServer{t: t, objects: make(map[string]map[string]any), status: make(map[string]int), watches: make(map[*apiWatch]bool)}
	for _, path := range []string{podsPath, poolsPath, alphaPoolsPath, objectivesPath, llmdPath, rewritesPath, llmdRewrites} {
		a.objects[path] = make(map[string]any)
	}
	a.server = httptest.NewServer(a)
	t.Cleanup(func() { a.endWatches(); a.server.Close() })
	return a
}

func (a *apiServer) rest() *rest.Config { return &rest.Config{Host: a.server.URL} }

// put makes or replaces an object, given as JSON.
func (a *apiServer) put(path, name, format string, args ...any) {
	a.t.Helper()
	var o map[string]any
	if err := json.Unmarshal(fmt.Appendf(nil, format, args...), &o); err != nil {
		a.t.Fatal(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	event := "ADDED"
	if a.objects[path][name] != nil {
		event = "MODIFIED"
	}
	a.version++
	meta, _ := o["metadata"].(map[string]any)
	if meta == nil {
		meta = make(map[string]any)
	}
	meta["name"], meta["namespace"], meta["resourceVersion"] = name, "models", strconv.Itoa(a.version)
	o["metadata"], o["apiVersion"], o["kind"] = meta, "any/v1", "Any"
	a.objects[path][name] = o
	a.tell(path, name, event, o)
}

func (a *apiServer) remove(path, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	a.tell(path, name, "DELETED", a.objects[path][name])
	delete(a.objects[path], name)
}

// tell tells the watches of a change.
func (a *apiServer) tell(path, name, event string, o any) {
	text, err := json.Marshal(map[string]any{"type": event, "object": o})
	if err != nil {
		a.t.Error(err)
	}
	e := apiEvent{path, name, text}
	a.history = append(a.history, e)
	for w := range a.watches {
		w.tell(e)
	}
}

func (w *apiWatch) tell(e apiEvent) {
	if w.path == e.path && (w.name == "" || w.name == e.name) {
		w.events <- e.text
	}
}

// answer has a path answer with a status and nothing else; 0 ends that.
func (a *apiServer) answer(path string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status[path] = status
}

// endWatches ends every watch.
func (a *apiServer) endWatches() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.watches {
		close(w.ended)
		delete(a.watches, w)
	}
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	a.mu.Lock()
	objects, served := a.objects[r.URL.Path]
	status := a.status[r.URL.Path]
	switch {
	case !served:
		status = http.StatusNotFound
	case status == 0 && query.Get("sendInitialEvents") != "":
		status = http.StatusUnprocessableEntity
	}
	w.Header().Set("Content-Type", "application/json")
	if status != 0 {
		a.mu.Unlock()
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reasons[status], "message": "no " + r.URL.Path})
		return
	}
	name := strings.TrimPrefix(query.Get("fieldSelector"), "metadata.name=")
	if query.Get("watch") != "" {
		watch := &apiWatch{r.URL.Path, name, make(chan []byte, 100), make(chan struct{})}
		since, err := strconv.Atoi(query.Get("resourceVersion"))
		if err != nil {
			a.t.Error(err)
		}
		for _, e := range a.history[since:] {
			watch.tell(e)
		}
		a.watches[watch] = true
		a.mu.Unlock()
		watch.serve(w, r)
		return
	}
	items := []any{}
	for n, o := range objects {
		if name == "" || n == name {
			items = append(items, o)
		}
	}
	text, err := json.Marshal(map[string]any{
		"kind": "AnyList", "apiVersion": "any/v1", "metadata": map[string]any{"resourceVersion": strconv.Itoa(a.version)}, "items": items,
	})
	a.mu.Unlock()
	if err != nil {
		a.t.Error(err)
	}
	_, _ = w.Write(text)
}

var reasons = map[int]string{http.StatusNotFound: "NotFound", http.StatusForbidden: "Forbidden", http.StatusUnprocessableEntity: "Invalid"}

func (w *apiWatch) serve(to http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(to)
	_ = flush.Flush()
	for {
		select {
		case event := <-w.events:
			_, _ = to.Write(event)
			_ = flush.Flush()
		case <-w.ended:
			return
		case <-r.Context().Done():
			return
		}
	}
}
