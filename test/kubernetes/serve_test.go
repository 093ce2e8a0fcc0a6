package kubernetes

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/coordinator/stream"
	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/test/processes"
)

// run runs a command and returns what it prints.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

const chart = "../../deploy/helm/weir"

// TestChart has the API server take what the chart makes, installs it, and upgrades it:
// the gossip key and the replicas' certificate stay.
func TestChart(t *testing.T) {
	c := startCluster(t)
	c.namespace("prod")
	c.namespace("models")
	kubeconfig := c.kubeconfig(admin)
	helm := filepath.Join(c.dir, "helm")
	run(t, "", helm, "lint", "--strict", chart, "--set", "inferencePool.name=vllm")
	for name, args := range map[string][]string{
		"all": {
			"--set", "inferencePool.name=vllm,inferencePool.namespace=models,serviceMonitor.enabled=true,antiAffinity=hard",
			"--set", "extProc.tlsSecret=tls,gossip.tlsSecret=peers",
			"--set", "networkPolicy.from[0].podSelector.matchLabels.app=envoy,networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
		},
		"external redis":  {"--set", "endpoints={http://10.0.0.7:8000},redis.bundled=false,redis.url=rediss://redis.example:6379,redis.existingSecret=there,replicaCount=1"},
		"picker and more": {"--values", "values.yaml"},
		"several pools":   {"--set", "inferencePools.selector=weir=yes"},
		"everywhere":      {"--set", "inferencePools.selector=weir in (yes\\,maybe),inferencePools.namespace=*"},
		"by DNS":          {"--set", "endpointsDNS=vllm.models.svc:8000,http.enabled=false,networkPolicy.enabled=false,antiAffinity=none"},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := run(t, "", helm, append([]string{"template", "w", chart, "--namespace", "prod", "--kubeconfig", kubeconfig, "--validate"}, args...)...)
			out := c.kubectl(manifests, "apply", "--dry-run=server", "-f", "-")
			if n := strings.Count(out, "created (server dry run)"); n < 5 {
				t.Errorf("%d objects taken:\n%s", n, out)
			}
			if open := strings.Contains(manifests, "- {port: 9090, protocol: TCP}"); open != (name == "all" || name == "picker and more") {
				t.Errorf("the network policy lets somebody reach the admin port: %v", open)
			}
			if limit := "{name: GOMEMLIMIT, value: 921MiB}"; !strings.Contains(manifests, limit) {
				t.Errorf("no %s, which is nine tenths of the limit", limit)
			}
			for _, part := range []string{
				"- epp.default.svc:9002", "adminTokenFile: /etc/weir/admin/token", "secret: {secretName: weir-admin}",
				"apiKeys: /etc/weir/keys/keys.yaml", "secret: {secretName: weir-keys}", "- --shadow", "name: HTTPS_PROXY", "mountPath: /etc/ca",
				"topologyKey: topology.kubernetes.io/zone", "kind: HorizontalPodAutoscaler", "kind: PodMonitor", "kind: PrometheusRule", "release: prometheus", "alert: WeirLedgerOutOfReach", "summary: '{{ $labels.instance }} does not reach Redis'", "grafana_dashboard: \"1\"", "grafana_folder: Inference", "credentials: {name: weir-admin, key: token}",
			} {
				if there := strings.Contains(manifests, part); there != (name == "picker and more") {
					t.Errorf("%s is made: %v", part, there)
				}
			}
			config := regexp.MustCompile(`(?s)weir.yaml: \|\n(.*?)\n---`).FindStringSubmatch(manifests)
			if config == nil {
				t.Fatal("no weir.yaml in the ConfigMap")
			}
			file := filepath.Join(t.TempDir(), "weir.yaml")
			text := regexp.MustCompile(`(?m)^    `).ReplaceAllString(config[1], "")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, "", processes.Binary(), "config", "check", "--ignore-files", file) // its secrets are not here
		})
	}
	install := []string{chart, "--namespace", "prod", "--kubeconfig", kubeconfig, "--set", "inferencePool.name=vllm,inferencePool.namespace=models"}
	made := func(secret, key string) []byte {
		encoded := c.kubectl("", "--namespace", "prod", "get", "secret", secret, "-o", "go-template", "--template", fmt.Sprintf("{{index .data %q}}", key))
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(value) < 32 {
			t.Fatalf("%s of secret %s is %q: %v", key, secret, encoded, err)
		}
		return value
	}
	run(t, "", helm, append([]string{"install", "w"}, install...)...)
	key, cert := made("w-weir-gossip", "key"), made("w-weir-peer", "tls.crt")
	dir := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		write(t, filepath.Join(dir, name), made("w-weir-peer", name))
	}
	if _, err := stream.LoadTLS(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")); err != nil {
		t.Errorf("the replicas' certificate: %v", err)
	}
	run(t, "", helm, append([]string{"upgrade", "w", "--set", "replicaCount=5"}, install...)...)
	if !bytes.Equal(key, made("w-weir-gossip", "key")) || !bytes.Equal(cert, made("w-weir-peer", "tls.crt")) {
		t.Error("the gossip key or the replicas' certificate became another by an upgrade")
	}
	out, err := exec.Command(helm, append([]string{"template", "w", "--validate", "--set", "serviceMonitor.enabled=true"}, install...)...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "networkPolicy.metricsFrom") {
		t.Errorf("a ServiceMonitor of a port that nobody may reach: %v\n%s", err, out)
	}
}

// TestServe runs a replica with the rights that the chart gives it and nothing more,
// in front of a pool whose pods come and go.
func TestServe(t *testing.T) {
	c := startCluster(t)
	c.namespace("serve")
	kubeconfig := c.kubeconfig(admin)
	role := run(t, "", filepath.Join(c.dir, "helm"), "template", "weir", chart, "--namespace", "serve", "--kubeconfig", kubeconfig, "--validate",
		"--show-only", "templates/rbac.yaml", "--set", "inferencePool.name=vllm")
	c.kubectl(role, "apply", "-f", "-")

	var served [2]atomic.Int64
	var asked atomic.Value
	port := ""
	for i, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, cmp.Or(port, "0")))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			served[i].Add(1)
			body, _ := io.ReadAll(r.Body)
			asked.Store(string(body))
			_, _ = w.Write([]byte(`{"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
		}))
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
	}
	var number int64
	_, _ = fmt.Sscan(port, &number)

	url, adminURL := serve(t, "--inference-pool", "serve/vllm", "--kubeconfig", c.kubeconfig(serving), "--max-concurrency", "4", "--request-ttl", "1s")
	ask := func(headers ...string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	endpoints := func(want int) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			var pool api.Pool
			res, err := http.Get(adminURL + "/v1/pool")
			if err != nil {
				t.Fatal(err)
			}
			err = json.NewDecoder(res.Body).Decode(&pool)
			_ = res.Body.Close()
			if err == nil && pool.Endpoints == want {
				return
			}
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d endpoints, want %d", pool.Endpoints, want)
			}
		}
	}
	if status := ask(); status != http.StatusServiceUnavailable {
		t.Errorf("without a pool: status %d, want 503", status)
	}
	c.create(poolOf("serve", "vllm", "vllm", number))
	one := c.pod("serve", "vllm-0", "vllm", "127.0.0.1")
	c.pod("serve", "vllm-1", "vllm", "127.0.0.2")
	c.create(objective("serve", "urgent", "vllm", 7))
	endpoints(2)
	for range 20 {
		if status := ask(); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if a, b := served[0].Load(), served[1].Load(); a < 5 || b < 5 {
		t.Errorf("%d and %d requests served by the two pods", a, b)
	}
	c.create(object("llm-d.ai/v1alpha2", "InferenceModelRewrite", "serve", "m", map[string]any{
		"poolRef": map[string]any{"name": "vllm"},
		"rules": []any{map[string]any{
			"matches": []any{map[string]any{"model": map[string]any{"type": "Exact", "value": "m"}}},
			"targets": []any{map[string]any{"modelRewrite": "m-2"}},
		}},
	}))
	for began := time.Now(); ask() == http.StatusOK && asked.Load() != `{"model":"m-2","prompt":"hi"}`; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("the model is not rewritten: a server was asked %s", asked.Load())
		}
	}
	c.ready(one, "127.0.0.1", "False")
	endpoints(1)
	before := served[0].Load()
	for range 10 {
		if status := ask("x-gateway-inference-objective", "urgent"); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if served[0].Load() != before {
		t.Error("a pod that is not ready got requests")
	}
	res, err := http.Get(adminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	urgent := false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		urgent = urgent || strings.HasPrefix(lines.Text(), "weir_flow_control_requests_total{") && strings.Contains(lines.Text(), `priority="7"} 10`)
	}
	if !urgent {
		t.Error("the objective's priority was not taken")
	}
}

// serve runs a replica until the test ends.
func serve(t *testing.T, args ...string) (url, admin string) {
	t.Helper()
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "weir", &processes.Servers{}, args...)
	return r.URL, r.Admin
}
