package kubernetes

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/weirflow/weir/gateway/admin/api"
)

// modelServers are one at each address, all at one port. A request for the model "slow" is held
// until release is closed.
func modelServers(t *testing.T, ips ...string) (port int64, started, release chan struct{}) {
	t.Helper()
	at := ""
	started, release = make(chan struct{}, 100), make(chan struct{})
	for _, ip := range ips {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, cmp.Or(at, "0")))
		if err != nil {
			t.Fatal(err)
		}
		_, at, _ = net.SplitHostPort(l.Addr().String())
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"slow"`) { //nolint:errcheck // what is short is not slow
				started <- struct{}{}
				<-release
			}
			_, _ = fmt.Fprintf(w, `{"served_by":%q,"usage":{"prompt_tokens":1,"completion_tokens":1}}`, ip)
		}))
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
	}
	_, _ = fmt.Sscan(at, &port) // it was just given
	return port, started, release
}

// asker asks a replica.
type asker struct {
	t          *testing.T
	url, admin string
}

// ask asks for a model and returns the status and which server answered.
func (a *asker) ask(model string) (status int, by string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/v1/completions", strings.NewReader(fmt.Sprintf(`{"model":%q,"prompt":"hi"}`, model)))
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Error(err)
		return 0, ""
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	var answer struct {
		ServedBy string `json:"served_by"`
	}
	_ = json.NewDecoder(res.Body).Decode(&answer) // a refusal names none
	return res.StatusCode, answer.ServedBy
}

// until waits until a model is answered so, and returns how long it took.
func (a *asker) until(model, what string, status int, by string) time.Duration {
	a.t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		s, b := a.ask(model)
		if s == status && b == by {
			return time.Since(began)
		}
		if time.Since(began) > time.Minute {
			a.t.Fatalf("%s: %q is answered %d by %q, want %d by %q", what, model, s, b, status, by)
		}
	}
}

func (a *asker) pools() (all api.Pools) {
	a.t.Helper()
	res, err := http.Get(a.admin + "/v1/pools")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	if err := json.NewDecoder(res.Body).Decode(&all); err != nil || res.StatusCode != http.StatusOK {
		a.t.Fatalf("/v1/pools: status %d, %v", res.StatusCode, err)
	}
	return all
}

// TestPools runs a replica with the rights that the chart gives it, whose pools are the
// InferencePools with a label: they come and go with their objects, one that goes lets its
// requests end, and a bad one hurts no other.
func TestPools(t *testing.T) {
	c := startCluster(t)
	c.namespace("pools")
	role := run(t, "", filepath.Join(c.dir, "helm"), "template", "weir", chart, "--namespace", "pools", "--kubeconfig", c.kubeconfig(admin), "--validate",
		"--show-only", "templates/rbac.yaml", "--set", "inferencePools.selector=weir=yes")
	c.kubectl(role, "apply", "-f", "-")
	port, started, release := modelServers(t, "127.0.0.1", "127.0.0.2")
	url, adminURL := serve(t, "--inference-pools", "pools/weir=yes", "--kubeconfig", c.kubeconfig(pooling), "--max-concurrency", "4", "--request-ttl", "1s")
	a := &asker{t, url, adminURL}
	if all := a.pools(); len(all.Pools) != 0 {
		t.Errorf("pools %+v before there are any", all.Pools)
	}
	if status, _ := a.ask("llama"); status != http.StatusNotFound {
		t.Errorf("without a pool: status %d, want 404", status)
	}
	c.pod("pools", "one", "one", "127.0.0.1")
	c.pod("pools", "two", "two", "127.0.0.2")
	one, two := pooled("pools", "one", "llama", port), pooled("pools", "two", "qwen,slow", port)
	unlabelled := pooled("pools", "other", "mistral", port)
	unlabelled.SetLabels(nil)
	c.create(unlabelled)
	c.create(one)
	t.Logf("the first pool served after %v", a.until("llama", "the first pool", http.StatusOK, "127.0.0.1"))
	c.create(two)
	t.Logf("the second pool served after %v", a.until("qwen", "the second pool", http.StatusOK, "127.0.0.2"))
	if status, _ := a.ask("mistral"); status != http.StatusNotFound {
		t.Errorf("a pool without the label: status %d, want 404", status)
	}

	// One that takes another's model, and one without any, are left out, and say why.
	c.create(pooled("pools", "thief", "llama", port))
	c.create(pooled("pools", "mute", "", port))
	var left []api.LeftOut
	for began := time.Now(); len(left) != 2; time.Sleep(20 * time.Millisecond) {
		if left = a.pools().LeftOut; time.Since(began) > 10*time.Second {
			t.Fatalf("left out are %v, want two", left)
		}
	}
	slices.SortFunc(left, func(a, b api.LeftOut) int { return strings.Compare(a.InferencePool, b.InferencePool) })
	if left[0].InferencePool != "pools/mute" || !strings.Contains(left[0].Why, "names no models") || left[1].InferencePool != "pools/thief" || !strings.Contains(left[1].Why, `is a model of pool "one"`) {
		t.Errorf("left out are %v", left)
	}
	if status, by := a.ask("llama"); status != http.StatusOK || by != "127.0.0.1" {
		t.Errorf("beside a bad pool: status %d by %s", status, by)
	}

	// Its models may change while it serves.
	c.patch(one, "", `{"metadata":{"annotations":{"weirflow.github.io/models":"llama,llama-lora"}}}`)
	a.until("llama-lora", "another model", http.StatusOK, "127.0.0.1")

	// One that goes lets its request end, and no new one comes.
	ended := make(chan string, 1)
	go func() {
		status, by := a.ask("slow")
		ended <- fmt.Sprint(status, by)
	}()
	<-started
	c.remove(two)
	t.Logf("no request went to a pool that is gone after %v", a.until("qwen", "a pool that is gone", http.StatusNotFound, ""))
	select {
	case how := <-ended:
		t.Errorf("the request of a pool that goes ended by %s before it was answered", how)
	default:
	}
	close(release)
	if how := <-ended; how != "200127.0.0.2" {
		t.Errorf("the request of a pool that goes ended by %s", how)
	}
	if status, _ := a.ask("llama"); status != http.StatusOK {
		t.Errorf("the pool that stays: status %d", status)
	}
	for began := time.Now(); len(a.pools().Pools) != 1; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("pools %+v", a.pools().Pools)
		}
	}
	c.create(pooled("pools", "two", "qwen", port))
	a.until("qwen", "one that comes back", http.StatusOK, "127.0.0.2")
}

// pooled is an InferencePool of the pods whose label app is its name,
// with the label by which pools are taken.
func pooled(namespace, name, models string, port int64) *unstructured.Unstructured {
	p := poolOf(namespace, name, name, port)
	p.SetLabels(map[string]string{"weir": "yes"})
	if models != "" {
		p.SetAnnotations(map[string]string{"weirflow.github.io/models": models})
	}
	return p
}
