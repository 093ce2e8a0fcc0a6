package kubernetes

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/weirflow/weir/policies"
)

// The kinds that are looked at, as the API server names them.
var (
	podKind           = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	poolKind          = schema.GroupVersionResource{Group: "inference.networking.k8s.io", Version: "v1", Resource: "inferencepools"}
	alphaPoolKind     = schema.GroupVersionResource{Group: "inference.networking.x-k8s.io", Version: "v1alpha2", Resource: "inferencepools"}
	objectiveKind     = schema.GroupVersionResource{Group: "inference.networking.x-k8s.io", Version: "v1alpha2", Resource: "inferenceobjectives"}
	llmdObjectiveKind = schema.GroupVersionResource{Group: "llm-d.ai", Version: "v1alpha2", Resource: "inferenceobjectives"}
)

// pool is what matters of an InferencePool.
type pool struct {
	selector labels.Selector
	ports    []string
	models   []string // that are for it, as it says itself
	made     time.Time
}

// readPool reads an InferencePool.
func readPool(u *unstructured.Unstructured) (pool, error) {
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
	if err := readFields(u, &o); err != nil {
		return pool{}, err
	}
	var ports []int64
	for _, port := range o.Spec.TargetPorts {
		ports = append(ports, port.Number)
	}
	return poolOf(u, o.Spec.Selector.MatchLabels, ports...)
}

// readAlphaPool reads an InferencePool of the alpha version.
func readAlphaPool(u *unstructured.Unstructured) (pool, error) {
	var o struct {
		Spec struct {
			Selector         map[string]string `json:"selector"`
			TargetPortNumber int64             `json:"targetPortNumber"`
		} `json:"spec"`
	}
	if err := readFields(u, &o); err != nil {
		return pool{}, err
	}
	return poolOf(u, o.Spec.Selector, o.Spec.TargetPortNumber)
}

// poolOf refuses a pool that would take every pod, or none of their ports.
func poolOf(u *unstructured.Unstructured, selector map[string]string, ports ...int64) (pool, error) {
	if len(selector) == 0 {
		return pool{}, errors.New("its selector is empty: name the labels of the model servers' pods")
	}
	if len(ports) == 0 {
		return pool{}, errors.New("it has no target port")
	}
	p := pool{selector: labels.SelectorFromSet(selector), models: modelsOf(u.GetAnnotations()), made: u.GetCreationTimestamp().Time}
	for _, port := range ports {
		if port < 1 || port > 65535 {
			return pool{}, fmt.Errorf("its target port %d is not from 1 to 65535", port)
		}
		p.ports = append(p.ports, strconv.FormatInt(port, 10))
	}
	return p, nil
}

// pod is what matters of a pod.
type pod struct {
	labels labels.Set
	// address is its IP address while it takes requests, and else empty. One that is
	// being deleted finishes what it has.
	address string
	// ports are those of the pool's target ports at which it serves; nil for all.
	ports []string
}

// activePorts are the annotations that say at which of the pool's target ports a pod
// serves, the newer first: a list of numbers.
var activePorts = []string{"llm-d.ai/active-ports", "inference.networking.k8s.io/active-ports"}

// serves reports whether the pod serves at a target port.
func (p *pod) serves(port string) bool { return p.ports == nil || slices.Contains(p.ports, port) }

func readPod(u *unstructured.Unstructured) (pod, error) {
	var o struct {
		Metadata struct {
			Labels            map[string]string `json:"labels"`
			Annotations       map[string]string `json:"annotations"`
			DeletionTimestamp string            `json:"deletionTimestamp"`
		} `json:"metadata"`
		Status struct {
			PodIP      string `json:"podIP"`
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := readFields(u, &o); err != nil {
		return pod{}, err
	}
	p := pod{labels: o.Metadata.Labels}
	for _, name := range activePorts {
		if list, given := o.Metadata.Annotations[name]; given {
			p.ports = strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
			break
		}
	}
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" && o.Metadata.DeletionTimestamp == "" {
			p.address = o.Status.PodIP
		}
	}
	return p, nil
}

// objective is what matters of an InferenceObjective.
type objective struct {
	pool     string // the pool that it is for; empty if it does not say
	priority int
}

func readObjective(u *unstructured.Unstructured) (objective, error) {
	var o struct {
		Spec struct {
			Priority int64 `json:"priority"`
			PoolRef  struct {
				Name string `json:"name"`
			} `json:"poolRef"`
		} `json:"spec"`
	}
	if err := readFields(u, &o); err != nil {
		return objective{}, err
	}
	return objective{pool: o.Spec.PoolRef.Name, priority: int(max(min(o.Spec.Priority, policies.MaxPriority), policies.MinPriority))}, nil
}

// readFields reads those fields of an object that o has. A field of another type than
// o's is an error, never a zero.
func readFields(u *unstructured.Unstructured, o any) error {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return fmt.Errorf("read its fields: %w", err)
	}
	err = json.Unmarshal(text, o)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is a JSON %s and must be of type %s", e.Field, e.Value, e.Type)
	}
	return err
}
