package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/weirflow/weir/test/processes"
)

// shared is the control plane of all tests but one, each of which has namespaces of its own: to
// start one takes several seconds of a CPU. The first test that needs it starts it.
var shared struct {
	sync.Mutex

	plane *controlPlane
}

func TestMain(m *testing.M) {
	code := processes.Run(m)
	if shared.plane != nil {
		shared.plane.stop()
	}
	os.Exit(code)
}

// cluster is an API server for a test.
type cluster struct {
	t      *testing.T
	rest   *rest.Config
	client dynamic.Interface
	dir    string // of the binaries
}

// startCluster returns the one that tests share, which has the custom resources.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	dir := needed(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.plane != nil {
		return shared.plane.cluster(t, dir)
	}
	shared.plane = startControlPlane(t, dir)
	c := shared.plane.cluster(t, dir)
	c.install("crds")
	return c
}

// startEmptyCluster starts one that nothing is installed at, which ends with the test.
func startEmptyCluster(t *testing.T) *cluster {
	t.Helper()
	dir := needed(t)
	p := startControlPlane(t, dir)
	t.Cleanup(p.stop)
	return p.cluster(t, dir)
}

// needed skips the test where there is nothing to run it with; else it runs beside the others.
func needed(t *testing.T) (binariesDir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	dir := binaries(t)
	t.Parallel()
	return dir
}

// cluster is the control plane as a test meets it.
func (p *controlPlane) cluster(t *testing.T, binaries string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: binaries, rest: p.rest}
	var err error
	if c.client, err = dynamic.NewForConfig(c.rest); err != nil {
		t.Fatal(err)
	}
	return c
}

// kubectl runs it as the admin and returns what it prints.
func (c *cluster) kubectl(stdin string, args ...string) string {
	c.t.Helper()
	return run(c.t, stdin, filepath.Join(c.dir, "kubectl"), append([]string{"--kubeconfig", c.kubeconfig(admin)}, args...)...)
}

// install installs the custom resources of a directory.
func (c *cluster) install(dir string) {
	c.t.Helper()
	c.kubectl("", "apply", "-f", dir)
	c.kubectl("", "wait", "--for", "condition=established", "--timeout", "30s", "-f", dir)
}

// resource is where the API server has objects of an object's kind.
func (c *cluster) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	kind := o.GroupVersionKind()
	all := c.client.Resource(kind.GroupVersion().WithResource(strings.ToLower(kind.Kind) + "s"))
	if o.GetNamespace() == "" {
		return all
	}
	return all.Namespace(o.GetNamespace())
}

// create makes an object.
func (c *cluster) create(o *unstructured.Unstructured) {
	c.t.Helper()
	if _, err := c.resource(o).Create(context.Background(), o, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// remove deletes an object at once.
func (c *cluster) remove(o *unstructured.Unstructured) {
	c.t.Helper()
	now := int64(0)
	if err := c.resource(o).Delete(context.Background(), o.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		c.t.Fatal(err)
	}
}

// patch changes an object, or its subresource if one is named.
func (c *cluster) patch(o *unstructured.Unstructured, subresource, format string, args ...any) {
	c.t.Helper()
	var subresources []string
	if subresource != "" {
		subresources = []string{subresource}
	}
	_, err := c.resource(o).Patch(context.Background(), o.GetName(), types.MergePatchType, fmt.Appendf(nil, format, args...), metav1.PatchOptions{}, subresources...)
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) namespace(name string) {
	c.t.Helper()
	c.create(object("v1", "Namespace", "", name, nil))
}

// object is one with that spec.
func object(apiVersion, kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "spec": spec}}
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// poolOf is an InferencePool of the pods with a label app, at a port.
func poolOf(namespace, name, app string, ports ...int64) *unstructured.Unstructured {
	var targets []any
	for _, port := range ports {
		targets = append(targets, map[string]any{"number": port})
	}
	return object("inference.networking.k8s.io/v1", "InferencePool", namespace, name, map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"app": app}}, "targetPorts": targets,
	})
}

func objective(namespace, name, pool string, priority int64) *unstructured.Unstructured {
	return object("inference.networking.x-k8s.io/v1alpha2", "InferenceObjective", namespace, name, map[string]any{
		"priority": priority, "poolRef": map[string]any{"name": pool},
	})
}

// pod makes a pod with a label app, that is ready at the address.
func (c *cluster) pod(namespace, name, app, ip string) *unstructured.Unstructured {
	c.t.Helper()
	p := object("v1", "Pod", namespace, name, map[string]any{
		"containers": []any{map[string]any{"name": "server", "image": "server"}},
	})
	p.SetLabels(map[string]string{"app": app})
	c.create(p)
	c.ready(p, ip, "True")
	return p
}

// ready says whether a pod is.
func (c *cluster) ready(p *unstructured.Unstructured, ip, is string) {
	c.t.Helper()
	c.patch(p, "status", `{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`, ip, ip, is)
}
