package kubernetes

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard()) // or it complains
	os.Exit(m.Run())
}

// binariesVariable names the directory with the binaries.
const binariesVariable = "WEIR_KUBERNETES"

// binaries is the directory with kube-apiserver, etcd, kubectl and helm.
func binaries(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(binariesVariable)
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skipf("skipped: %v", err)
		}
		dir = filepath.Join(cache, "weir", "kubernetes-1.37.2")
	}
	for _, name := range []string{"kube-apiserver", "etcd", "kubectl", "helm"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Skipf("skipped: no %s in %s; make kubernetes builds it", name, dir)
		}
	}
	return dir
}

// cluster is an API server that ends with the test.
type cluster struct {
	t      *testing.T
	env    *envtest.Environment
	rest   *rest.Config
	client client.Client
	dir    string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: takes 15 s")
	}
	c := &cluster{t: t, dir: binaries(t)}
	c.env = &envtest.Environment{
		BinaryAssetsDirectory: c.dir, ControlPlaneStartTimeout: time.Minute, ControlPlaneStopTimeout: 20 * time.Second,
	}
	var err error
	if c.rest, err = c.env.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.env.Stop(); err != nil {
			t.Logf("stop the API server: %v", err)
		}
	})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	if c.client, err = client.New(c.rest, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	return c
}

// install installs custom resources.
func (c *cluster) install(paths ...string) {
	c.t.Helper()
	if _, err := envtest.InstallCRDs(c.rest, envtest.CRDInstallOptions{Paths: paths, ErrorIfPathMissing: true}); err != nil {
		c.t.Fatal(err)
	}
}

// create makes an object.
func (c *cluster) create(o client.Object) {
	c.t.Helper()
	if err := c.client.Create(context.Background(), o); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) namespace(name string) {
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

// object is a custom resource with that spec.
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

// patch changes an object's spec, or its status.
func (c *cluster) patch(o client.Object, status bool, format string, args ...any) {
	c.t.Helper()
	p := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, format, args...))
	var err error
	if status {
		err = c.client.Status().Patch(context.Background(), o, p)
	} else {
		err = c.client.Patch(context.Background(), o, p)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// pod makes a pod with a label app, that is ready at the address.
func (c *cluster) pod(namespace, name, app, ip string) *corev1.Pod {
	c.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "server", Image: "server"}}},
	}
	c.create(p)
	c.ready(p, ip, "True")
	return p
}

// ready says whether a pod is.
func (c *cluster) ready(p *corev1.Pod, ip, is string) {
	c.t.Helper()
	c.patch(p, true, `{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":%q}]}}`, ip, ip, is)
}
