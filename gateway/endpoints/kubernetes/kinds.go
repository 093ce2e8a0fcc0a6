package kubernetes

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that are looked at. Of several versions of a kind, the first that has an
// object of the name holds.
var (
	poolKinds = []schema.GroupVersionKind{
		{Group: "inference.networking.k8s.io", Version: "v1", Kind: "InferencePool"},
		{Group: "inference.networking.x-k8s.io", Version: "v1alpha2", Kind: "InferencePool"},
	}
	objectiveKinds = []schema.GroupVersionKind{
		{Group: "inference.networking.x-k8s.io", Version: "v1alpha2", Kind: "InferenceObjective"},
		{Group: "llm-d.ai", Version: "v1alpha2", Kind: "InferenceObjective"},
	}
)

// pool is what matters of an InferencePool.
type pool struct {
	selector labels.Selector
	ports    []string
}

// readPool reads an InferencePool of either version.
func readPool(u *unstructured.Unstructured) (*pool, error) {
	if u.GroupVersionKind() == poolKinds[0] {
		var o struct {
			Spec struct {
				Selector struct {
					MatchLabels map[string]string `json:"matchLabels"`
				} `json:"selector"`
				TargetPorts []struct {
					Number int64 `json:"number"`
				} `json:"targetPorts"`
			} `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
			return nil, fmt.Errorf("read the InferencePool: %w", err)
		}
		p := &pool{selector: labels.SelectorFromSet(o.Spec.Selector.MatchLabels)}
		for _, port := range o.Spec.TargetPorts {
			p.ports = append(p.ports, strconv.FormatInt(port.Number, 10))
		}
		return p, p.check(len(o.Spec.Selector.MatchLabels))
	}
	var o struct {
		Spec struct {
			Selector         map[string]string `json:"selector"`
			TargetPortNumber int64             `json:"targetPortNumber"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nil, fmt.Errorf("read the InferencePool: %w", err)
	}
	p := &pool{selector: labels.SelectorFromSet(o.Spec.Selector), ports: []string{strconv.FormatInt(o.Spec.TargetPortNumber, 10)}}
	return p, p.check(len(o.Spec.Selector))
}

// check refuses a pool that would take every pod, or none of their ports.
func (p *pool) check(selecting int) error {
	if selecting == 0 {
		return fmt.Errorf("the InferencePool's selector is empty: name the labels of the model servers' pods")
	}
	if len(p.ports) == 0 || p.ports[0] == "0" {
		return fmt.Errorf("the InferencePool has no target port")
	}
	return nil
}

// priorityOf reads an InferenceObjective's priority; ok is unset for one of another
// pool.
func priorityOf(u *unstructured.Unstructured, poolName string) (priority int, ok bool) {
	if name, found, _ := unstructured.NestedString(u.Object, "spec", "poolRef", "name"); found && name != poolName {
		return 0, false
	}
	n, _, _ := unstructured.NestedInt64(u.Object, "spec", "priority")
	return int(max(min(n, maxPriority), -maxPriority)), true
}

// maxPriority bounds priorities, so that they mean the same in every replica and in
// the ledger.
const maxPriority = 1 << 31
