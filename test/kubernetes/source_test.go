package kubernetes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
)

// followed is what a source last said.
type followed struct {
	t          *testing.T
	endpoints  chan string
	objectives chan string
}

// follow runs a source until the test ends.
func (c *cluster) follow(namespace, name string) *followed {
	c.t.Helper()
	f := &followed{c.t, make(chan string, 1000), make(chan string, 1000)}
	source, err := kubernetes.New(kubernetes.Config{
		Namespace: namespace, Name: name, REST: c.rest, Retry: 200 * time.Millisecond, Logger: zaptest.NewLogger(c.t),
		Objectives: func(priorities map[string]int) {
			var all []string
			for _, name := range slices.Sorted(maps.Keys(priorities)) {
				all = append(all, fmt.Sprintf("%s=%d", name, priorities[name]))
			}
			f.objectives <- strings.Join(all, " ")
		},
	})
	if err != nil {
		c.t.Fatal(err)
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
			f.endpoints <- strings.Join(all, " ")
		})
		if err != nil {
			c.t.Error(err)
		}
	}()
	c.t.Cleanup(func() { stop(); <-ended })
	return f
}

// until waits for the channel to say something.
func (f *followed) until(says <-chan string, what, want string) {
	f.t.Helper()
	deadline := time.After(10 * time.Second)
	last := "nothing"
	for {
		select {
		case last = <-says:
			if last == want {
				return
			}
		case <-deadline:
			f.t.Fatalf("%s: the source says %q, want %q", what, last, want)
		}
	}
}

// TestSource follows a pool whose pods come, become ready, and go, and whose selector
// and ports change; then it is deleted, and there is one of the alpha version.
func TestSource(t *testing.T) {
	c := startCluster(t)
	c.install("crds")
	c.namespace("models")
	f := c.follow("models", "vllm")
	f.until(f.endpoints, "without a pool", "")

	pool := poolOf("models", "vllm", "vllm", 8000)
	c.create(pool)
	c.pod("models", "vllm-0", "vllm", "10.0.0.10")
	f.until(f.endpoints, "one pod", "models/vllm-0@10.0.0.10:8000")
	one := c.pod("models", "vllm-1", "vllm", "10.0.0.11")
	c.pod("models", "other", "other", "10.0.0.66")
	f.until(f.endpoints, "two pods", "models/vllm-0@10.0.0.10:8000 models/vllm-1@10.0.0.11:8000")
	c.ready(one, "10.0.0.11", "False")
	f.until(f.endpoints, "one not ready", "models/vllm-0@10.0.0.10:8000")
	c.ready(one, "10.0.0.11", "True")
	f.until(f.endpoints, "ready again", "models/vllm-0@10.0.0.10:8000 models/vllm-1@10.0.0.11:8000")
	c.remove(one)
	f.until(f.endpoints, "one deleted", "models/vllm-0@10.0.0.10:8000")

	c.patch(pool, "", `{"spec":{"targetPorts":[{"number":8000},{"number":8001}]}}`)
	f.until(f.endpoints, "two ports", "models/vllm-0-rank-0@10.0.0.10:8000 models/vllm-0-rank-1@10.0.0.10:8001")
	c.patch(pool, "", `{"spec":{"targetPorts":[{"number":9000}],"selector":{"matchLabels":{"app":"other"}}}}`)
	f.until(f.endpoints, "another selector", "models/other@10.0.0.66:9000")
	c.patch(pool, "", `{"spec":{"selector":{"matchLabels":{"app":"nobody"}}}}`)
	f.until(f.endpoints, "no pods", "")

	c.create(objective("models", "urgent", "vllm", 10))
	c.create(objective("models", "elsewhere", "another-pool", 99))
	c.create(object("llm-d.ai/v1alpha2", "InferenceObjective", "models", "batch", map[string]any{"priority": int64(-1)}))
	f.until(f.objectives, "objectives", "batch=-1 urgent=10")

	c.remove(pool)
	c.create(object("inference.networking.x-k8s.io/v1alpha2", "InferencePool", "models", "vllm", map[string]any{
		"selector": map[string]any{"app": "vllm"}, "targetPortNumber": int64(7000),
	}))
	f.until(f.endpoints, "an alpha pool", "models/vllm-0@10.0.0.10:7000")
}

// TestWithoutCustomResources starts before the custom resources are installed.
func TestWithoutCustomResources(t *testing.T) {
	c := startCluster(t)
	c.namespace("models")
	c.pod("models", "vllm-0", "vllm", "10.0.0.10")
	f := c.follow("models", "vllm")
	select {
	case said := <-f.endpoints:
		t.Errorf("without the custom resources the source says %q", said)
	case <-time.After(time.Second):
	}
	c.install("crds")
	c.create(poolOf("models", "vllm", "vllm", 8000))
	f.until(f.endpoints, "once they are there", "models/vllm-0@10.0.0.10:8000")
}
