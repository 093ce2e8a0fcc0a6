package kubernetes

import (
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes/kubernetestest"
)

// follow follows a pool until the test ends.
func (c *cluster) follow(namespace, name string) *kubernetestest.Followed {
	c.t.Helper()
	return kubernetestest.Follow(c.t, kubernetes.Config{Namespace: namespace, Name: name, REST: c.rest, Retry: 200 * time.Millisecond})
}

// TestSource follows a pool whose pods come, become ready, and go, and whose selector
// and ports change; then it is deleted, and there is one of the alpha version.
func TestSource(t *testing.T) {
	c := startCluster(t)
	c.namespace("source")
	f := c.follow("source", "vllm")
	f.Until(f.Endpoints, "without a pool", "")

	pool := poolOf("source", "vllm", "vllm", 8000)
	c.create(pool)
	c.pod("source", "vllm-0", "vllm", "10.0.0.10")
	f.Until(f.Endpoints, "one pod", "source/vllm-0@10.0.0.10:8000")
	one := c.pod("source", "vllm-1", "vllm", "10.0.0.11")
	c.pod("source", "other", "other", "10.0.0.66")
	f.Until(f.Endpoints, "two pods", "source/vllm-0@10.0.0.10:8000 source/vllm-1@10.0.0.11:8000")
	c.ready(one, "10.0.0.11", "False")
	f.Until(f.Endpoints, "one not ready", "source/vllm-0@10.0.0.10:8000")
	c.ready(one, "10.0.0.11", "True")
	f.Until(f.Endpoints, "ready again", "source/vllm-0@10.0.0.10:8000 source/vllm-1@10.0.0.11:8000")
	c.remove(one)
	f.Until(f.Endpoints, "one deleted", "source/vllm-0@10.0.0.10:8000")

	c.patch(pool, "", `{"spec":{"targetPorts":[{"number":8000},{"number":8001}]}}`)
	f.Until(f.Endpoints, "two ports", "source/vllm-0-rank-0@10.0.0.10:8000 source/vllm-0-rank-1@10.0.0.10:8001")
	c.patch(pool, "", `{"spec":{"targetPorts":[{"number":9000}],"selector":{"matchLabels":{"app":"other"}}}}`)
	f.Until(f.Endpoints, "another selector", "source/other@10.0.0.66:9000")
	c.patch(pool, "", `{"spec":{"selector":{"matchLabels":{"app":"nobody"}}}}`)
	f.Until(f.Endpoints, "no pods", "")

	c.create(objective("source", "urgent", "vllm", 10))
	c.create(objective("source", "elsewhere", "another-pool", 99))
	c.create(object("llm-d.ai/v1alpha2", "InferenceObjective", "source", "batch", map[string]any{"priority": int64(-1)}))
	f.Until(f.Objectives, "objectives", "batch=-1 urgent=10")

	c.remove(pool)
	c.create(object("inference.networking.x-k8s.io/v1alpha2", "InferencePool", "source", "vllm", map[string]any{
		"selector": map[string]any{"app": "vllm"}, "targetPortNumber": int64(7000),
	}))
	f.Until(f.Endpoints, "an alpha pool", "source/vllm-0@10.0.0.10:7000")
}

// TestWithoutCustomResources starts before the custom resources are installed.
func TestWithoutCustomResources(t *testing.T) {
	c := startEmptyCluster(t)
	c.namespace("models")
	c.pod("models", "vllm-0", "vllm", "10.0.0.10")
	f := c.follow("models", "vllm")
	select {
	case said := <-f.Endpoints:
		t.Errorf("without the custom resources the source says %q", said)
	case <-time.After(time.Second):
	}
	c.install("crds")
	c.create(poolOf("models", "vllm", "vllm", 8000))
	f.Until(f.Endpoints, "once they are there", "models/vllm-0@10.0.0.10:8000")
}
