package kubernetes

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/weirflow/weir/internal/freeport"
)

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

// user is somebody whom the API server knows, by a token.
type user struct {
	name, token string
	groups      []string
}

var (
	admin = user{"admin", "the-admins", []string{"system:masters"}}
	// The replicas of tests that each have a namespace of their own.
	serving, pooling = replicaIn("serve"), replicaIn("pools")
)

// replicaIn is a replica as the chart installs it in a namespace.
func replicaIn(namespace string) user {
	return user{
		"system:serviceaccount:" + namespace + ":weir", "the-replicas-in-" + namespace,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
}

// controlPlane is an etcd and a kube-apiserver.
type controlPlane struct {
	rest *rest.Config // the admin's

	dir   string
	stops []func()
}

// startControlPlane runs them until they are stopped.
func startControlPlane(t *testing.T, binaries string) *controlPlane {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-kubernetes-")
	if err != nil {
		t.Fatal(err)
	}
	p := &controlPlane{dir: dir}
	defer func() {
		if t.Failed() {
			p.stop()
		}
	}()
	etcd, peers, port := freeport.Address(t), freeport.Address(t), freeport.Address(t)
	p.background(t, filepath.Join(binaries, "etcd"), "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", "http://"+etcd, "--advertise-client-urls", "http://"+etcd,
		"--listen-peer-urls", "http://"+peers, "--initial-advertise-peer-urls", "http://"+peers, "--initial-cluster", "default=http://"+peers)

	tokens := ""
	for _, u := range []user{admin, serving, pooling} {
		tokens += fmt.Sprintf("%s,%s,%s,%q\n", u.token, u.name, u.name, strings.Join(u.groups, ","))
	}
	tokenFile, keyFile := filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "accounts.key")
	write(t, tokenFile, []byte(tokens))
	write(t, keyFile, signingKey(t))
	host, number, err := net.SplitHostPort(port)
	if err != nil {
		t.Fatal(err)
	}
	log := p.background(t, filepath.Join(binaries, "kube-apiserver"), "--etcd-servers", "http://"+etcd,
		"--bind-address", host, "--advertise-address", host, "--secure-port", number, "--cert-dir", dir,
		"--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/24", "--allow-privileged",
		"--authorization-mode", "RBAC", "--token-auth-file", tokenFile,
		"--service-account-issuer", "https://"+port, "--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--disable-admission-plugins", "ServiceAccount") // nobody makes a namespace's default account
	p.rest = &rest.Config{
		Host: "https://" + port, BearerToken: admin.token, QPS: 200, Burst: 200,
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(dir, "apiserver.crt")},
	}
	untilReady(t, p.rest, log)
	return p
}

// stop ends them, the last one first.
func (p *controlPlane) stop() {
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
	_ = os.RemoveAll(p.dir)
}

// untilReady waits for the API server.
func untilReady(t *testing.T, c *rest.Config, log *bytes.Buffer) {
	t.Helper()
	var last error
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		client, err := rest.HTTPClientFor(c) // anew, since the certificate comes with the server
		if err != nil {
			last = err
			continue
		}
		res, err := client.Get(c.Host + "/readyz")
		if err != nil {
			last = err
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		last = fmt.Errorf("status %d", res.StatusCode)
	}
	text := log.String()
	t.Fatalf("kube-apiserver is not ready: %v; it says\n%s", last, text[max(0, len(text)-3000):])
}

// background runs a command until the control plane stops.
func (p *controlPlane) background(t *testing.T, name string, args ...string) *bytes.Buffer {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	p.stops = append(p.stops, func() {
		stop()
		_ = cmd.Wait()
	})
	return log
}

// signingKey is a key for the tokens of service accounts, as PEM.
func signingKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig is a file by which somebody reaches the API server.
func (c *cluster) kubeconfig(u user) string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), "kubeconfig")
	write(c.t, file, fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: test, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, c.rest.Host, c.rest.CAFile, u.token))
	return file
}
