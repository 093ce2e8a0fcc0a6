package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirflow/weir/controller"
	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/gateway"
	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/metering"
	"github.com/weirflow/weir/gateway/traffic"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/policies/fairness"
	"github.com/weirflow/weir/shard"
	"github.com/weirflow/weir/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fleet is replicas of one ledger, each with its server, whose questions go by calls.
type fleet struct {
	t        testing.TB
	ledger   *memory.Ledger
	replicas map[string]*member

	mu     sync.Mutex
	silent map[string]bool
	late   map[string]bool // they do what they are asked, and their answers do not come in time
}

type member struct {
	*Server
	control *controller.Controller
	traffic *traffic.Log
}

// link is one replica's view of the fleet. It implements coordinator.Questions.
type link struct {
	fleet *fleet
	id    string
}

func (l link) AnswerWith(func(context.Context, []byte) ([]byte, error)) {}

func (l link) Ask(ctx context.Context, question []byte) (answers []coordinator.Answer) {
	l.fleet.mu.Lock()
	replicas, quiet := maps.Clone(l.fleet.replicas), maps.Clone(l.fleet.silent)
	late := maps.Clone(l.fleet.late)
	l.fleet.mu.Unlock()
	for id, m := range replicas {
		if id == l.id {
			continue
		}
		a := coordinator.Answer{Replica: id}
		silent := quiet[id]
		if silent {
			a.Err = errors.New("it does not answer")
		} else {
			a.Body, a.Err = m.reply(ctx, question)
		}
		if late[id] {
			a.Body, a.Err = nil, context.DeadlineExceeded
		}
		answers = append(answers, a)
	}
	return answers
}

// newFleet starts replicas a, b, c and so on with a limit in flight together.
func newFleet(t testing.TB, n, limit int, options ...controller.Option) *fleet {
	t.Helper()
	f := &fleet{t: t, ledger: memory.New(memory.Config{}), replicas: make(map[string]*member), silent: make(map[string]bool)}
	for i := range n {
		id := string(rune('a' + i))
		m := &member{traffic: traffic.NewLog()}
		var err error
		m.control, err = controller.NewController(f.ledger, append([]controller.Option{
			controller.WithReplica(id), controller.WithLimit(limit), controller.WithObserver(m.traffic),
			controller.WithDefaultBand(shard.BandConfig{Fairness: fairness.NewRoundRobin("rr")}),
		}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		source, err := endpoints.NewStatic("http://127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		g := gateway.NewPool(gateway.PoolConfig{Controller: m.control, Endpoints: endpoints.Config{Source: source, Replica: id}})
		m.Server = New(Config{
			Replica: id, Pool: "test", Version: "v1", Gateway: g, Traffic: m.traffic, Fleet: link{f, id}, Patience: 5 * time.Second,
			Ledger: f.ledger, Meter: metering.New(metering.Config{Ledger: f.ledger, Replica: id}),
			Configuration: func() Configuration {
				return Configuration{YAML: "weir: {}\n", Fingerprint: "f", Weight: func(k policies.FlowKey) float64 {
					if k.ID == "heavy" {
						return 3
					}
					return 1
				}}
			},
		})
		f.mu.Lock()
		f.replicas[id] = m
		f.mu.Unlock()
		t.Cleanup(func() {
			m.Close()
			g.Close()
			m.control.Close()
		})
	}
	return f
}

// get reads an answer, of that status.
func (m *member) get(t *testing.T, path string, status int, into any) {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if w.Code != status {
		t.Fatalf("%s: status %d, want %d: %s", path, w.Code, status, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// eventually asks again until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// begin has a request come in at a replica, which holds its slot once it has one.
func (f *fleet) begin(at, flow, name string, priority int) {
	r := &controller.Request{Flow: policies.FlowKey{ID: flow, Priority: priority}, Name: name}
	m := f.replicas[at]
	go func() { _, _ = m.control.EnqueueAndWait(context.Background(), r) }() // ends with the controller at the latest
}
