// Package kubernetestest follows sources of package kubernetes in tests, whichever API server is
// behind them.
package kubernetestest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/rewrites"
)

// patience is how long anything may take to be said.
const patience = 10 * time.Second

// Followed is what a source says, each time as one text, and what it logs.
type Followed struct {
	Endpoints  chan string // name@address of each
	Objectives chan string // name=priority of each, by name
	Rewrites   chan string

	t   *testing.T
	log *observer.ObservedLogs
}

// New follows nothing yet but what goes to the logger.
func New(t *testing.T) (*Followed, *zap.Logger) {
	core, log := observer.New(zapcore.WarnLevel)
	f := &Followed{t: t, log: log, Endpoints: make(chan string, 1000), Objectives: make(chan string, 1000), Rewrites: make(chan string, 1000)}
	return f, zap.New(core)
}

// Follow runs a source until the test ends, and has it say all that it can.
func Follow(t *testing.T, cfg kubernetes.Config) *Followed {
	t.Helper()
	f, log := New(t)
	cfg.Logger = log
	cfg.Objectives = func(priorities map[string]int) {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(priorities)) {
			all = append(all, fmt.Sprintf("%s=%d", name, priorities[name]))
		}
		f.Objectives <- strings.Join(all, " ")
	}
	cfg.Rewrites = func(rules []rewrites.Rule) { f.Rewrites <- fmt.Sprint(rules) }
	source, err := kubernetes.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := source.Run(ctx, func(specs []endpoints.Spec) {
			var all []string
			for _, s := range specs {
				all = append(all, s.Name+"@"+s.Address())
			}
			f.Endpoints <- strings.Join(all, " ")
		})
		if err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	return f
}

// Until waits for the channel to say something.
func (f *Followed) Until(says <-chan string, what, want string) {
	f.t.Helper()
	deadline := time.After(patience)
	last := "nothing"
	for {
		select {
		case last = <-says:
			if last == want {
				return
			}
		case <-deadline:
			f.t.Fatalf("%s: the source says %q, want %q; it logged %v", what, last, want, f.Logged())
		}
	}
}

// UntilLogged waits for a problem to be logged that has all these words.
func (f *Followed) UntilLogged(words ...string) {
	f.t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(5 * time.Millisecond) {
		for _, line := range f.Logged() {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return
			}
		}
	}
	f.t.Fatalf("nothing logged with %q: %v", words, f.Logged())
}

// Logged are the problems that were logged so far, each with its error.
func (f *Followed) Logged() []string {
	var all []string
	for _, e := range f.log.All() {
		all = append(all, fmt.Sprintf("%s: %v", e.Message, e.ContextMap()["error"]))
	}
	return all
}
