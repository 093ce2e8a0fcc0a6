package kubernetes_test

import (
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes/kubernetestest"
)

// follow follows the pool models/vllm until the test ends.
func follow(t *testing.T, rest *rest.Config) *kubernetestest.Followed {
	t.Helper()
	return kubernetestest.Follow(t, kubernetes.Config{Namespace: "models", Name: "vllm", REST: rest, Retry: 20 * time.Millisecond})
}

func (a *apiServer) pool(app string, port int) {
	a.put(poolsPath, "vllm", `{"spec":{"selector":{"matchLabels":{"app":%q}},"targetPorts":[{"number":%d}]}}`, app, port)
}

func (a *apiServer) pod(name, ip, ready string) {
	a.put(podsPath, name, `{"metadata":{"labels":{"app":"vllm"}},"status":{"podIP":%q,"conditions":[{"type":"Ready","status":%q}]}}`, ip, ready)
}

func TestEndpointsFollowThePool(t *testing.T) {
	api := newAPIServer(t)
	f := follow(t, api.rest())
	f.Until(f.Endpoints, "without a pool", "")
	f.UntilLogged("the pool has no endpoints", "models/vllm", "no such InferencePool")
	api.put(poolsPath, "another", `{"spec":{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":1}]}}`)
	api.pool("vllm", 8000)
	api.pod("vllm-0", "10.0.0.10", "True")
	f.Until(f.Endpoints, "one pod", "models/vllm-0@10.0.0.10:8000")
	api.pod("vllm-1", "10.0.0.11", "False")
	api.pod("vllm-2", "fd00::12", "True")
	f.Until(f.Endpoints, "a ready one comes", "models/vllm-0@10.0.0.10:8000 models/vllm-2@[fd00::12]:8000")
	api.put(podsPath, "vllm-2", `{"metadata":{"labels":{"app":"vllm"},"deletionTimestamp":"2026-01-01T00:00:00Z"},
		"status":{"podIP":"fd00::12","conditions":[{"type":"Ready","status":"True"}]}}`)
	f.Until(f.Endpoints, "one is being deleted", "models/vllm-0@10.0.0.10:8000")
	api.pod("vllm-1", "10.0.0.11", "True")
	f.Until(f.Endpoints, "another is ready", "models/vllm-0@10.0.0.10:8000 models/vllm-1@10.0.0.11:8000")
	api.remove(podsPath, "vllm-0")
	f.Until(f.Endpoints, "one is gone", "models/vllm-1@10.0.0.11:8000")
	api.put(poolsPath, "vllm", `{"spec":{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":1},{"number":2}]}}`)
	f.Until(f.Endpoints, "two ports", "models/vllm-1-rank-0@10.0.0.11:1 models/vllm-1-rank-1@10.0.0.11:2")
	api.remove(poolsPath, "vllm")
	f.Until(f.Endpoints, "no pool", "")
	api.put(alphaPoolsPath, "vllm", `{"spec":{"selector":{"app":"vllm"},"targetPortNumber":7000}}`)
	f.Until(f.Endpoints, "an alpha pool", "models/vllm-1@10.0.0.11:7000")
}

// TestActivePorts wants endpoints only at those target ports that a pod's annotation lists.
func TestActivePorts(t *testing.T) {
	api := newAPIServer(t)
	api.put(poolsPath, "vllm", `{"spec":{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":1},{"number":2},{"number":3}]}}`)
	annotated := func(annotations string) {
		api.put(podsPath, "vllm-0", `{"metadata":{"labels":{"app":"vllm"},"annotations":%s},
			"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}`, annotations)
	}
	f := follow(t, api.rest())
	annotated(`{"inference.networking.k8s.io/active-ports":"1, 3,99"}`)
	f.Until(f.Endpoints, "the older name", "models/vllm-0-rank-0@10.0.0.1:1 models/vllm-0-rank-2@10.0.0.1:3")
	annotated(`{"inference.networking.k8s.io/active-ports":"1","llm-d.ai/active-ports":"2"}`)
	f.Until(f.Endpoints, "the newer name holds", "models/vllm-0-rank-1@10.0.0.1:2")
	annotated(`{"llm-d.ai/active-ports":""}`)
	f.Until(f.Endpoints, "none", "")
	annotated(`{}`)
	f.Until(f.Endpoints, "all", "models/vllm-0-rank-0@10.0.0.1:1 models/vllm-0-rank-1@10.0.0.1:2 models/vllm-0-rank-2@10.0.0.1:3")
}

func TestObjectives(t *testing.T) {
	api := newAPIServer(t)
	api.pool("vllm", 8000)
	f := follow(t, api.rest())
	api.put(objectivesPath, "urgent", `{"spec":{"priority":10,"poolRef":{"name":"vllm"}}}`)
	api.put(objectivesPath, "elsewhere", `{"spec":{"priority":99,"poolRef":{"name":"another"}}}`)
	api.put(objectivesPath, "highest", `{"spec":{"priority":9000000000}}`)
	api.put(llmdPath, "batch", `{"spec":{"priority":-1}}`)
	api.put(llmdPath, "urgent", `{"spec":{"priority":11}}`)
	api.put(llmdPath, "usual", `{}`)
	f.Until(f.Objectives, "objectives: the newer group's where both have one", "batch=-1 highest=2147483647 urgent=11 usual=0")
	api.remove(llmdPath, "urgent")
	f.Until(f.Objectives, "the newer is gone", "batch=-1 highest=2147483647 urgent=10 usual=0")
}

// TestRewrites wants the rules of the pool's InferenceModelRewrites: the oldest object's first,
// and the newer group's where both have one of a name.
func TestRewrites(t *testing.T) {
	api := newAPIServer(t)
	api.pool("vllm", 8000)
	f := follow(t, api.rest())
	api.put(rewritesPath, "young", `{"metadata":{"creationTimestamp":"2026-02-01T00:00:00Z"},
		"spec":{"poolRef":{"name":"vllm"},"rules":[{"targets":[{"modelRewrite":"base"}]}]}}`)
	api.put(llmdRewrites, "old", `{"metadata":{"creationTimestamp":"2026-01-01T00:00:00Z"},
		"spec":{"poolRef":{"name":"vllm"},"rules":[{"matches":[{"model":{"type":"Exact","value":"a"}},{"model":{"value":"b"}}],
		"targets":[{"modelRewrite":"a-1","weight":90},{"modelRewrite":"a-2","weight":10}]}]}}`)
	api.put(rewritesPath, "old", `{"spec":{"rules":[{"targets":[{"modelRewrite":"not this"}]}]}}`)
	api.put(rewritesPath, "elsewhere", `{"spec":{"poolRef":{"name":"another"},"rules":[{"targets":[{"modelRewrite":"nor this"}]}]}}`)
	api.put(rewritesPath, "odd", `{"spec":{"rules":[{"matches":[{"model":{"type":"RegularExpression","value":".*"}}]}]}}`)
	api.put(rewritesPath, "heavy", `{"spec":{"rules":[{"targets":[{"modelRewrite":"x","weight":-1}]}]}}`)
	f.Until(f.Rewrites, "rules", "[{[a b] [{a-1 90} {a-2 10}]} {[] [{base 1}]}]")
	f.UntilLogged("an InferenceModelRewrite is left out", "models/odd", "Exact")
	f.UntilLogged("an InferenceModelRewrite is left out", "models/heavy", "weight -1")
	api.remove(llmdRewrites, "old")
	api.remove(rewritesPath, "old")
	f.Until(f.Rewrites, "one is gone", "[{[] [{base 1}]}]")
}

// TestUnreadableObjects are named in the log, and are never read as something else.
func TestUnreadableObjects(t *testing.T) {
	api := newAPIServer(t)
	api.pool("vllm", 8000)
	api.pod("vllm-0", "10.0.0.10", "True")
	api.put(podsPath, "odd", `{"metadata":{"labels":{"app":"vllm"}},"status":{"podIP":7}}`)
	api.put(objectivesPath, "high", `{"spec":{"priority":"high"}}`)
	api.put(objectivesPath, "urgent", `{"spec":{"priority":10}}`)
	f := follow(t, api.rest())
	f.Until(f.Endpoints, "at first", "models/vllm-0@10.0.0.10:8000")
	f.Until(f.Objectives, "at first", "urgent=10")
	f.UntilLogged("a pod is left out", "models/odd", "status.podIP is a JSON number")
	f.UntilLogged("an InferenceObjective is left out", "models/high", "spec.priority is a JSON string")
	for what, spec := range map[string]string{
		"its selector is empty":                        `{"targetPorts":[{"number":1}]}`,
		"it has no target port":                        `{"selector":{"matchLabels":{"app":"vllm"}}}`,
		"its target port 70000 is not from 1 to 65535": `{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":70000}]}`,
		"matchLabels":                                  `{"selector":{"matchLabels":["vllm"]},"targetPorts":[{"number":1}]}`,
	} {
		api.put(poolsPath, "vllm", `{"spec":%s}`, spec)
		f.UntilLogged("the pool's endpoints are not known; they stay as they are", "models/vllm", what)
	}
	select {
	case said := <-f.Endpoints:
		t.Errorf("a pool that cannot be read changed the endpoints to %q", said)
	default:
	}
	api.pool("vllm", 8001)
	f.Until(f.Endpoints, "once it can be read", "models/vllm-0@10.0.0.10:8001")
}

// TestKindsThatAreNotServed are waited for, if they are needed.
func TestKindsThatAreNotServed(t *testing.T) {
	api := newAPIServer(t)
	for _, path := range []string{poolsPath, alphaPoolsPath, objectivesPath, llmdPath} {
		api.answer(path, http.StatusNotFound)
	}
	api.pod("vllm-0", "10.0.0.10", "True")
	f := follow(t, api.rest())
	f.UntilLogged("the API server does not serve InferencePools", "install the custom resources")
	select {
	case said := <-f.Endpoints:
		t.Errorf("without the custom resources the source says %q", said)
	default:
	}
	if log := f.Logged(); len(log) != 1 {
		t.Errorf("what is not installed is a problem once: %q", log)
	}
	api.pool("vllm", 8000)
	api.answer(poolsPath, 0)
	f.Until(f.Endpoints, "once they are there", "models/vllm-0@10.0.0.10:8000")
}

// TestKindsThatAreRefused are named. The alpha version, which few roles name, hinders
// nothing.
func TestKindsThatAreRefused(t *testing.T) {
	api := newAPIServer(t)
	api.answer(poolsPath, http.StatusForbidden)
	api.answer(alphaPoolsPath, http.StatusNotFound)
	api.pod("vllm-0", "10.0.0.10", "True")
	api.pool("vllm", 8000)
	f := follow(t, api.rest())
	f.UntilLogged("the pool's endpoints are not known", "list InferencePools", "inferencepools")
	api.answer(alphaPoolsPath, http.StatusForbidden)
	api.answer(poolsPath, 0)
	f.Until(f.Endpoints, "with leave for the one", "models/vllm-0@10.0.0.10:8000")
}

// TestWatchesThatBreak begin again, with what has changed meanwhile.
func TestWatchesThatBreak(t *testing.T) {
	api := newAPIServer(t)
	api.pool("vllm", 8000)
	for _, path := range []string{podsPath, poolsPath, alphaPoolsPath, objectivesPath, llmdPath} {
		api.answer(path, http.StatusServiceUnavailable)
	}
	f := follow(t, api.rest())
	f.UntilLogged("a kind cannot be listed yet", "pods")
	for _, path := range []string{podsPath, poolsPath, alphaPoolsPath, objectivesPath, llmdPath} {
		api.answer(path, 0)
	}
	f.Until(f.Endpoints, "once it answers", "")
	api.pod("vllm-0", "10.0.0.10", "True")
	f.Until(f.Endpoints, "a pod", "models/vllm-0@10.0.0.10:8000")

	api.answer(podsPath, http.StatusInternalServerError)
	api.endWatches()
	api.pod("vllm-1", "10.0.0.11", "True")
	f.UntilLogged("a watch broke; what is known stays", "pods")
	select {
	case said := <-f.Endpoints:
		t.Errorf("a watch that broke changed the endpoints to %q", said)
	default:
	}
	api.answer(podsPath, 0)
	f.Until(f.Endpoints, "with what it missed", "models/vllm-0@10.0.0.10:8000 models/vllm-1@10.0.0.11:8000")
}
