package replica_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/test/extproc"
)

// roles are model servers, each with the role of its name, which answer with what they were
// told of other ones.
type roles struct {
	addresses map[string]string // by role
	file      string            // that lists them
}

func startRoles(t *testing.T, names ...string) *roles {
	t.Helper()
	r := &roles{addresses: make(map[string]string), file: filepath.Join(t.TempDir(), "endpoints.yaml")}
	list := "endpoints:\n"
	for _, role := range names {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method != http.MethodPost {
				http.NotFound(w, q)
				return
			}
			w.Header().Set("X-Role", role)
			fmt.Fprintf(w, "prefill %q %q encode %q %q", q.Header.Values("x-llm-d-prefiller-host-port"), q.Header.Values("x-prefiller-host-port"),
				q.Header.Values("x-llm-d-encoder-hosts-ports"), q.Header.Values("x-encoder-hosts-ports"))
		}))
		t.Cleanup(server.Close)
		r.addresses[role] = strings.TrimPrefix(server.URL, "http://")
		host, port, _ := strings.Cut(r.addresses[role], ":")
		list += fmt.Sprintf("- {name: %s, address: %s, port: %q, labels: {llm-d.ai/role: %s}}\n", role, host, port, role)
	}
	write(t, r.file, list)
	return r
}

// TestStages has requests go through stages as a file of today's EPPs says: long prompts are
// read elsewhere until the endpoint that answers has them cached, images are encoded elsewhere,
// and the endpoint that answers is told where, by HTTP and by Envoy.
func TestStages(t *testing.T) {
	s := startRoles(t, "prefill", "decode", "encode")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: concurrency-detector, parameters: {maxConcurrency: 8}}
- {type: approx-prefix-cache-producer, parameters: {blockSizeTokens: 16}}
- {type: prefix-cache-scorer}
- {type: encode-filter}
- {type: prefill-filter}
- {type: decode-filter}
- {type: disagg-headers-handler}
- {type: prefix-based-pd-decider, parameters: {nonCachedTokens: 100}}
- {type: always-disagg-multimodal-decider}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider, encode: always-disagg-multimodal-decider}}
schedulingProfiles:
- {name: encode, plugins: [{pluginRef: encode-filter}]}
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: prefix-cache-scorer}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: prefix-cache-scorer}]}
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
weir: {extProc: {listen: "127.0.0.1:0"}}
`)
	r := start(t, file, map[string]string{"max-concurrency": "", "upstream": "", "endpoints-file": s.file})
	envoy := processedBy(t, r)
	forged := map[string]string{"x-prefiller-host-port": "10.0.0.1:1", "x-encoder-hosts-ports": "10.0.0.1:1", "x-llm-d-prefiller-host-port": "10.0.0.1:1"}
	byEnvoy := func(body string) (at, told string) {
		res, err := envoy.Do(t.Context(), extproc.Request{Method: "POST", Path: "/v1/chat/completions", Headers: forged, Body: [][]byte{[]byte(body)}})
		if err != nil || res.Status != http.StatusOK {
			t.Fatalf("%+v, %v", res, err)
		}
		for role, address := range s.addresses {
			if address == res.Endpoints[0] {
				at = role
			}
		}
		return at, string(res.Body)
	}
	byHTTP := func(body string) (at, told string) {
		headers, told := answered(t, r.url+"/v1/chat/completions", body, forged)
		return headers.Get("X-Role"), told
	}
	chat := func(text, more string) string {
		return fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":%q}%s]}]}`, text, more)
	}
	told := func(prefill, encode bool) string {
		name := func(role string, given bool) string {
			if !given {
				return "[] []"
			}
			return fmt.Sprintf("[%q] [%q]", s.addresses[role], s.addresses[role])
		}
		return "prefill " + name("prefill", prefill) + " encode " + name("encode", encode)
	}
	for by, ask := range map[string]func(string) (at, told string){"HTTP": byHTTP, "Envoy": byEnvoy} {
		long := strings.Repeat(by+" tells a long story. ", 50)
		image := `,{"type":"image_url","image_url":{"url":"http://images/1"}}`
		for _, c := range []struct {
			what, body, want string
		}{
			{"a short prompt", chat("hi", ""), told(false, false)},
			{"a long prompt", chat(long, ""), told(true, false)},
			{"the same again", chat(long, ""), told(false, false)},
			{"an image", chat("hi "+by, image), told(false, true)},
			{"words about images", chat(`hi "image_url"`, ""), told(false, false)},
			{"an image with a long prompt", chat("Or: "+long, image), told(true, true)},
		} {
			if at, got := ask(c.body); at != "decode" || got != c.want {
				t.Errorf("%s by %s: answered by %s, which was told %s; want %s", c.what, by, at, got, c.want)
			}
		}
	}
	eventually(t, "nothing is left in flight", func() bool {
		for _, e := range r.endpoints(t) {
			if e.InFlight != 0 {
				return false
			}
		}
		return true
	})
}

// named is a request that names its profile, and how it is to be answered.
type named struct {
	profile, at string
	status      int
}

// TestProfileByHeader has requests name their profile, as a coordinator of stages does.
func TestProfileByHeader(t *testing.T) {
	testProfileByHeader(t, `
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}`,
		named{"prefill", "prefill", 200}, named{"decode", "decode", 200}, named{"", "decode", 200}, named{" prefill ", "prefill", 200}, named{"Prefill", "", 400}, named{"encode", "", 400})
}

// TestOneProfileByHeader wants a name that there is no profile of to be refused where there is
// one profile only, by which all others go.
func TestOneProfileByHeader(t *testing.T) {
	testProfileByHeader(t, `[{name: prefill, plugins: [{pluginRef: prefill-filter}]}]`,
		named{"prefill", "prefill", 200}, named{"", "prefill", 200}, named{"decode", "", 400})
}

func testProfileByHeader(t *testing.T, profiles string, requests ...named) {
	t.Helper()
	s := startRoles(t, "prefill", "decode")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, file, `
apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
plugins: [{type: concurrency-detector}, {type: prefill-filter}, {type: decode-filter}, {type: header-profile-handler}]
schedulingProfiles: `+profiles+`
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
`)
	r := start(t, file, map[string]string{"max-concurrency": "", "upstream": "", "endpoints-file": s.file})
	for _, c := range requests {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("EPP-Profile", c.profile)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if at := res.Header.Get("X-Role"); res.StatusCode != c.status || at != c.at || c.status == 400 && !strings.Contains(string(text), "EPP-Profile") {
			t.Errorf("profile %q: %d by %q, want %d by %q: %s", c.profile, res.StatusCode, at, c.status, c.at, text)
		}
	}
}

// TestDataParallel has a sidecar take the requests for all ranks of its host at one port, by HTTP
// and by Envoy: it is told which rank was chosen, and clients cannot say so.
func TestDataParallel(t *testing.T) {
	sidecar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPost {
			http.NotFound(w, q)
			return
		}
		fmt.Fprintf(w, "%q", q.Header.Values("x-data-parallel-host-port"))
	}))
	t.Cleanup(sidecar.Close)
	rank := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodPost {
			t.Error("a request came to the port of a rank")
		}
		http.NotFound(w, q)
	}))
	t.Cleanup(rank.Close)
	var addresses []string
	list := "endpoints:\n"
	for i, s := range []*httptest.Server{sidecar, rank} {
		address := strings.TrimPrefix(s.URL, "http://")
		addresses = append(addresses, address)
		host, port, _ := strings.Cut(address, ":")
		list += fmt.Sprintf("- {name: rank-%d, address: %s, port: %q}\n", i, host, port)
	}
	_, primary, _ := strings.Cut(addresses[0], ":")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "endpoints.yaml"), list)
	file := filepath.Join(dir, "weir.yaml")
	write(t, file, `
apiVersion: llm-d.ai/v1
kind: EndpointPickerConfig
plugins:
- {type: concurrency-detector}
- {type: session-affinity-scorer}
- {type: max-score-picker, parameters: {maxNumOfEndpoints: 2}}
- {type: data-parallel-profile-handler, parameters: {primaryPort: `+primary+`}}
schedulingProfiles: [{name: default, plugins: [{pluginRef: session-affinity-scorer}, {pluginRef: max-score-picker}]}]
flowControl: {saturationDetector: {pluginRef: concurrency-detector}}
weir: {extProc: {listen: "127.0.0.1:0", fallbacks: 1}}
`)
	r := start(t, file, map[string]string{"max-concurrency": "", "upstream": "", "endpoints-file": filepath.Join(dir, "endpoints.yaml")})
	envoy := processedBy(t, r)
	const body = `{"model":"m","prompt":"hi"}`
	forged := map[string]string{"x-data-parallel-host-port": "10.0.0.1:1"}
	ask := map[string]func() string{
		"HTTP": func() string {
			_, text := answered(t, r.url+"/v1/completions", body, forged)
			return text
		},
		"Envoy": func() string {
			res, err := envoy.Do(t.Context(), extproc.Request{Method: "POST", Path: "/v1/completions", Headers: forged, Body: [][]byte{[]byte(body)}})
			if err != nil || res.Status != http.StatusOK || len(res.Endpoints) != 1 || res.Endpoints[0] != addresses[0] {
				t.Fatalf("%+v, %v; want it at %s alone", res, err, addresses[0])
			}
			return string(res.Body)
		},
	}
	for by, ask := range ask {
		told := make(map[string]int)
		for range 100 { // equal scores: which rank is chosen is chance
			told[ask()]++
			if len(told) == len(addresses) {
				break
			}
		}
		for _, a := range addresses {
			if told[fmt.Sprintf("[%q]", a)] == 0 || len(told) != 2 {
				t.Errorf("by %s the sidecar was told %v, want each of %v", by, told, addresses)
			}
		}
	}
}

// answered posts a body with these headers, and returns the answer's headers and body; it must
// be 200.
func answered(t *testing.T, url, body string, headers map[string]string) (http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", res.StatusCode, text, err)
	}
	return res.Header, string(text)
}

// processedBy is an Envoy whose requests a replica processes, until the test ends.
func processedBy(t *testing.T, r *running) *extproc.Driver {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.processing(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	envoy := extproc.New(conn)
	t.Cleanup(func() {
		envoy.Close()
		_ = conn.Close()
	})
	return envoy
}
