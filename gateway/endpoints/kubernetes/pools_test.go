package kubernetes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/endpoints"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes"
	"github.com/weirflow/weir/gateway/endpoints/kubernetes/kubernetestest"
)

// TestPools follows a namespace's InferencePools, and has sources of two of them by the same
// watches. One that cannot have endpoints is told with its reason, and hurts no other.
func TestPools(t *testing.T) {
	api := newAPIServer(t)
	f, log := kubernetestest.New(t)
	pools, err := kubernetes.NewPools(kubernetes.PoolsConfig{Namespace: "models", REST: api.rest(), Retry: 20 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	found, a, b := make(chan string, 1000), make(chan string, 1000), make(chan string, 1000)
	ctx, stop := context.WithCancel(context.Background())
	var running []chan struct{}
	run := func(what func()) {
		ended := make(chan struct{})
		running = append(running, ended)
		go func() {
			defer close(ended)
			what()
		}()
	}
	t.Cleanup(func() {
		stop()
		for _, ended := range running {
			<-ended
		}
	})
	run(func() {
		pools.Run(ctx, func(all []kubernetes.Found) {
			var said []string
			for i := range all {
				said = append(said, fmt.Sprintf("%s%q", &all[i], all[i].Models))
				if all[i].Err != nil {
					said = append(said, all[i].Err.Error())
				}
			}
			found <- strings.Join(said, " ")
		})
	})
	f.Until(found, "without any", "")
	api.put(poolsPath, "vllm", `{"metadata":{"annotations":{"weirflow.github.io/models":"llama, lora-*,llama"}},"spec":{"selector":{"matchLabels":{"app":"vllm"}},"targetPorts":[{"number":8000}]}}`)
	api.put(alphaPoolsPath, "old", `{"spec":{"selector":{"app":"vllm"},"targetPortNumber":7000}}`)
	f.Until(found, "two", `models/old[] models/vllm["llama" "lora-*"]`)

	for name, says := range map[string]chan string{"vllm": a, "old": b} {
		source := pools.Source("models", name, nil, nil)
		run(func() {
			if err := source.Run(ctx, func(specs []endpoints.Spec) {
				var all []string
				for _, s := range specs {
					all = append(all, s.Address())
				}
				says <- strings.Join(all, " ")
			}); err != nil {
				t.Error(err)
			}
		})
	}
	api.pod("vllm-0", "10.0.0.10", "True")
	f.Until(a, "a pod of the one", "10.0.0.10:8000")
	f.Until(b, "a pod of the other", "10.0.0.10:7000")
	api.mu.Lock()
	watches := 0
	for w := range api.watches {
		if w.path == podsPath {
			watches++
		}
	}
	api.mu.Unlock()
	if watches != 1 {
		t.Errorf("pods are watched %d times", watches)
	}

	api.put(poolsPath, "bad", `{"spec":{"selector":{},"targetPorts":[{"number":8000}]}}`)
	f.Until(found, "a bad one", `models/bad[] its selector is empty: name the labels of the model servers' pods models/old[] models/vllm["llama" "lora-*"]`)
	api.remove(poolsPath, "vllm")
	f.Until(found, "one gone", `models/bad[] its selector is empty: name the labels of the model servers' pods models/old[]`)
	api.pod("vllm-1", "10.0.0.11", "True")
	f.Until(b, "the other goes on", "10.0.0.10:7000 10.0.0.11:7000")
	select {
	case said := <-a:
		t.Errorf("the pool that is gone has endpoints %q, want those it had to stay", said)
	default:
	}
	api.answer(poolsPath, 403)
	api.endWatches()
	f.UntilLogged("a watch broke")
	select {
	case said := <-found:
		t.Errorf("while InferencePools cannot be listed there are %q", said)
	default:
	}
}
