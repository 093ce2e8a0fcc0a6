package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/admin/api"
	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/test/processes"
)

// startEnvoy starts a real Envoy with the repository's configuration, in front of
// replicas whose external processing is at the addresses, and returns its URL and its
// admin's.
func startEnvoy(t *testing.T, addresses []string, edits ...func(config string) string) (url, admin string) {
	t.Helper()
	envoy, err := exec.LookPath("envoy")
	if err != nil {
		envoy, err = filepath.Abs("../../bin/envoy")
		if _, missing := os.Stat(envoy); err != nil || missing != nil {
			needs.Lacking(t, "no envoy on this machine; make envoy fetches it")
		}
	}
	text, err := os.ReadFile("../../deploy/envoy/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for _, edit := range edits {
		config = edit(config)
	}
	replace := func(from, to string) {
		if strings.Count(config, from) != 1 {
			t.Fatalf("envoy.yaml has %d of %q", strings.Count(config, from), from)
		}
		config = strings.Replace(config, from, to, 1)
	}
	ports := make([]string, 2)
	for i := range ports {
		_, ports[i], _ = net.SplitHostPort(freeport.Address(t))
	}
	replace("port_value: 9901", "port_value: "+ports[0])
	replace("port_value: 8081", "port_value: "+ports[1])
	const endpoint = "        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9002}}}\n"
	var endpoints string
	for _, a := range addresses {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			t.Fatal(err)
		}
		endpoints += strings.Replace(endpoint, "9002", port, 1)
	}
	replace(endpoint, endpoints)
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(envoy, "-c", file, "--log-level", "error", "--concurrency", "2", "--disable-hot-restart")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	url, admin = "http://127.0.0.1:"+ports[1], "http://127.0.0.1:"+ports[0]
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if healthy := envoyStat(admin, "cluster.weir.membership_healthy"); healthy == len(addresses) {
			return url, admin
		}
		if time.Since(began) > processes.Patience {
			t.Fatal("envoy does not find all replicas healthy")
		}
	}
}

// envoyStat reads one of Envoy's own counts; -1 without one.
func envoyStat(admin, name string) int {
	res, err := http.Get(admin + "/stats?filter=^" + name + "$")
	if err != nil {
		return -1
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	value := -1
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+": "); ok {
			_, _ = fmt.Sscan(text, &value)
		}
	}
	return value
}

// TestEnvoy has real clients go through a real Envoy and three replicas, and one
// replica leave and come back under load.
func TestEnvoy(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 20 s")
	}
	t.Parallel() // it mostly waits
	c := processes.StartCluster(t, 0)
	for n := range 3 {
		c.Add(fmt.Sprint("r", n+1), "--ext-proc", "127.0.0.1:0")
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	var addresses []string
	for _, r := range c.Replicas {
		addresses = append(addresses, r.ExtProc)
	}
	url, admin := startEnvoy(t, addresses)
	through := &processes.Replica{ID: "envoy", URL: url}
	l, ctx := processes.StartLoad(t)
	tenants := []string{"a", "b", "c", "d"}
	for i, id := range tenants {
		l.Tenant(ctx, id, 12+24*i, through)
	}
	l.Next(300, tenants...)
	c.Even("through Envoy", l, tenants)
	c.WithinLimit("through Envoy")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/completions",
		strings.NewReader(`{"model":"simulated","prompt":"hi","max_tokens":20,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if events := strings.Count(string(stream), "data: "); err != nil || res.StatusCode != http.StatusOK || events < 20 {
		t.Errorf("a stream through Envoy: status %d, %d events, %v", res.StatusCode, events, err)
	}

	leaver := c.Replicas[2]
	c.Stop(leaver)
	c.Replicas = c.Replicas[:2]
	l.Next(200, tenants...)
	c.Even("a replica left", l, tenants)
	c.WithinLimit("a replica left")
	for _, f := range l.Failed(nil) {
		t.Errorf("a request failed: %v", f.Err)
	}
	started, failed := envoyStat(admin, "http.inference.ext_proc.streams_started"), envoyStat(admin, "http.inference.ext_proc.streams_failed")
	t.Logf("Envoy: %d external processing streams, %d failed; %d message timeouts, %d spurious messages", started, failed,
		envoyStat(admin, "http.inference.ext_proc.message_timeouts"), envoyStat(admin, "http.inference.ext_proc.spurious_msgs_received"))
	if served := l.Count(tenants); failed != 0 || started < served[0]+served[1]+served[2]+served[3] {
		t.Errorf("Envoy counts %d streams and %d failed", started, failed)
	}
}

// oneDead starts a model server and names one that refuses connections beside it.
func oneDead(t *testing.T) (s *processes.Servers, dead string) {
	t.Helper()
	s = processes.StartServers(t, 1, processes.Limit)
	dead = freeport.Address(t)
	s.URLs = append(s.URLs, "http://"+dead)
	return s, dead
}

// TestEnvoyEjects has one of two model servers refuse connections: by what Envoy tells
// of its own answers, the replica sends nothing there any more.
func TestEnvoyEjects(t *testing.T) {
	t.Parallel() // it mostly waits
	s, dead := oneDead(t)
	r := processes.Start(t, "r1", s, "--max-concurrency", "4", "--ext-proc", "127.0.0.1:0")
	url, _ := startEnvoy(t, []string{r.ExtProc})
	load, ctx := processes.StartLoad(t)
	through := &processes.Replica{ID: "envoy", URL: url}
	failed := 0
	for range 20 {
		if err := load.Ask(ctx, "t", through); err != nil {
			failed++
		}
	}
	all, err := processes.Get[api.Endpoints](r, "/v1/endpoints?scope=replica")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all.Endpoints {
		if e.Healthy == (e.Name == dead) {
			t.Errorf("%s is healthy: %v", e.Name, e.Healthy)
		}
	}
	t.Logf("%d of 20 requests failed before the dead server was ejected", failed)
	if failed != 1 {
		t.Errorf("%d of 20 requests failed, want the one that found it dead", failed)
	}
}

// TestEnvoyFallbacks has Envoy turn to the second endpoint that the replica names where
// the first refuses connections, and say so.
func TestEnvoyFallbacks(t *testing.T) {
	t.Parallel() // it mostly waits
	s, dead := oneDead(t)
	c := processes.NewConfiguration(t)
	c.Write("weir: {extProc: {listen: 127.0.0.1:0, fallbacks: 1}}\n")
	r := processes.StartBy(t, exec.Command(processes.Binary()), "127.0.0.1", "r1", s, "--config", c.File, "--max-concurrency", "8")
	overriding, err := os.ReadFile("../../deploy/envoy/override-host.yaml")
	if err != nil {
		t.Fatal(err)
	}
	url, _ := startEnvoy(t, []string{r.ExtProc}, func(config string) string {
		before, rest, _ := strings.Cut(config, "  - name: model-servers\n")
		_, after, found := strings.Cut(rest, "  - name: weir\n")
		route := "cluster: model-servers\n"
		if !found || strings.Count(before, route) != 1 || strings.Count(string(overriding), "8000") != 1 {
			t.Fatal("envoy.yaml and override-host.yaml are not as they were")
		}
		before = strings.Replace(before, route, route+"                  retry_policy: {retry_on: connect-failure, num_retries: 2}\n", 1)
		var list string
		for _, u := range s.URLs {
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(u, "http://"))
			list += "        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: " + port + "}}}\n"
		}
		head, _, _ := strings.Cut(string(overriding), "        - endpoint:")
		return before + head + list + "  - name: weir\n" + after
	})
	load, ctx := processes.StartLoad(t)
	through := &processes.Replica{ID: "envoy", URL: url}
	load.Tenant(ctx, "t", 3, through) // Envoy retries three requests at a time, by default
	inFlight := make(map[string]int)  // over many looks
	count := func() int { return processes.Metric(t, "weir_endpoint_fallbacks_total", r) }
	for looks := 0; looks < 100 || count() == 0 || load.Count([]string{"t"})[0] < 20; looks++ {
		if looks > 3000 {
			t.Fatal("no request is counted that the second endpoint answered, or too few are served")
		}
		all, err := processes.Get[api.Endpoints](r, "/v1/endpoints?scope=replica")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all.Endpoints {
			inFlight[e.Name] += e.InFlightHere
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, f := range load.Failed(nil) {
		t.Errorf("a request failed: %v", f.Err)
	}
	t.Logf("%d requests served, %d by the second endpoint named; in flight, over many looks: %v", load.Count([]string{"t"})[0], count(), inFlight)
	if inFlight[dead] > inFlight[strings.TrimPrefix(s.URLs[0], "http://")]/10 {
		t.Error("requests count at the dead server although another one answered")
	}
}
