package replica_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/certtest"
	"github.com/weirflow/weir/policies/builtin"
	"github.com/weirflow/weir/replica"
)

// running is a replica that runs in this process, in front of a server that answers
// everything, and has no metrics.
type running struct {
	gossip     string // its address; empty for none
	url, admin string
	logs       *observer.ObservedLogs
	stop       func() error // ends it and returns how it ended
}

// start runs a replica as a file says, and flags beside it, until the test ends. An
// empty flag is one less than usual.
func start(t *testing.T, file string, flags map[string]string) *running {
	t.Helper()
	return startBy(t, replica.Run, file, flags)
}

// startBy is start by another function than replica.Run.
func startBy(t *testing.T, run func(context.Context, replica.Load, *zap.Logger) error, file string, flags map[string]string) *running {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(server.Close)
	o := config.Options{Registry: builtin.Registry(), Flags: map[string][]string{
		"listen": {"127.0.0.1:0"}, "admin": {"127.0.0.1:0"}, "upstream": {server.URL}, "max-concurrency": {"8"},
		"replica-id": {"r"}, "drain-timeout": {"4s"},
	}}
	for name, value := range flags {
		if o.Flags[name] = []string{value}; value == "" {
			delete(o.Flags, name)
		}
	}
	core, logs := observer.New(zapcore.InfoLevel)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, func() (*config.Plan, config.Problems, error) { return config.Load(file, o) }, zap.New(core))
	}()
	r := &running{logs: logs, stop: sync.OnceValue(func() error {
		cancel()
		return <-ended
	})}
	t.Cleanup(func() { _ = r.stop() })
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if all := logs.FilterMessage("serving").All(); len(all) > 0 {
			fields := all[0].ContextMap()
			r.url, r.admin = "http://"+fields["listen"].(string), "http://"+fields["admin"].(string)
			r.gossip, _ = fields["gossip"].(string)
			return r
		}
		select {
		case err := <-ended:
			ended <- err // for stop
			t.Fatal(err)
		default:
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("it does not serve")
		}
	}
}

// ask returns the status of a request with an API key.
func (r *running) ask(t *testing.T, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/v1/completions", strings.NewReader(`{"model":"m","prompt":"hi"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// eventually waits for something to come true: for much longer than it takes, since others may
// leave the machine little time.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	const patience = 30 * time.Second
	for began := time.Now(); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// write replaces a file at once, as a half of one would be read as a change of its own.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func keyOf(key, flow string) string {
	return fmt.Sprintf("- {sha256: %x, flow: %s}\n", sha256.Sum256([]byte(key)), flow)
}

// TestKeysAreWatched takes keys out of their file and puts others in, also while the
// configuration beside it is broken, and breaks the file.
func TestKeysAreWatched(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	file, keys := filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "keys.yaml")
	write(t, keys, keyOf("one", "a")+keyOf("two", "b"))
	write(t, file, config.Empty+"weir: {identity: {apiKeys: "+keys+"}}\n")
	r := start(t, file, nil)
	if one, two, three := r.ask(t, "one"), r.ask(t, "two"), r.ask(t, "three"); one != 200 || two != 200 || three != 401 {
		t.Fatalf("statuses %d, %d, %d at the start; want 200, 200, 401", one, two, three)
	}
	write(t, keys, keyOf("two", "b")+keyOf("three", "c"))
	eventually(t, "a deleted key is refused", func() bool { return r.ask(t, "one") == 401 })
	if two, three := r.ask(t, "two"), r.ask(t, "three"); two != 200 || three != 200 {
		t.Errorf("statuses %d, %d; want 200 for a key that stayed and for a new one", two, three)
	}

	write(t, keys, "- {sha256: half")
	eventually(t, "a broken file of keys is logged", func() bool {
		return len(r.logs.FilterLevelExact(zapcore.ErrorLevel).All()) > 0
	})
	if code := r.ask(t, "two"); code != 200 {
		t.Errorf("status %d with a broken file of keys; want the old keys to hold", code)
	}

	write(t, file, config.Empty+"weir: {identity: {apiKeys: "+keys+"}, maxBdoy: 1}\n")
	write(t, keys, keyOf("three", "c"))
	eventually(t, "a key deleted beside a broken configuration is refused", func() bool { return r.ask(t, "two") == 401 })
	if code := r.ask(t, "three"); code != 200 {
		t.Errorf("status %d; want 200 for the key that stayed", code)
	}
}

// TestHangup sends SIGHUP to a replica that has no file, and to one that is about to
// end. A signal that nobody takes ends this process.
func TestHangup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows has no SIGHUP to send")
	}
	r := start(t, "", nil)
	hangup := func() {
		t.Helper()
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(syscall.SIGHUP)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	hangup()
	eventually(t, "the configuration is read again", func() bool {
		return r.logs.FilterMessage("configuration reloaded").Len() > 0
	})
	ended := make(chan error)
	go func() { ended <- r.stop() }()
	eventually(t, "it drains", func() bool { return r.logs.FilterMessage("draining").Len() > 0 })
	hangup()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestBuildIsTold wants operators to be told which build runs.
func TestBuildIsTold(t *testing.T) {
	r := start(t, "", nil)
	if version, ok := r.logs.FilterMessage("serving").All()[0].ContextMap()["version"].(string); !ok || version == "" {
		t.Error("the line at the start names no version")
	}
	for path, want := range map[string]string{"/metrics": "weir_build_info{", "/v1/replicas": `"version":`} {
		res, err := http.Get(r.admin + path) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q: %v", path, want, err)
		}
	}
}

// TestTLS serves requests by TLS, and replaces the certificate meanwhile.
func TestTLS(t *testing.T) {
	t.Parallel() // it mostly waits
	ca := certtest.New(t)
	cert, key := ca.Issue("first")
	r := start(t, "", map[string]string{"tls-cert": cert, "tls-key": key})
	address := strings.TrimPrefix(r.url, "http://")
	shown := func() string {
		t.Helper()
		client := http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		}}
		defer client.CloseIdleConnections()
		res, err := client.Post("https://"+address+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"hi"}`)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
			t.Errorf("status %d by HTTP/%d, want 200 by HTTP/2", res.StatusCode, res.ProtoMajor)
		}
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "first" {
		t.Errorf("the certificate is %q, want first", got)
	}
	ca.IssueTo("second", cert, key)
	eventually(t, "the new certificate is shown", func() bool { return shown() == "second" })
	write(t, key, "half a key")
	eventually(t, "a broken certificate is logged", func() bool {
		return shown() == "second" && r.logs.FilterMessage("the certificate was not taken over; the old one stays").Len() > 0
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestServersWithoutMetrics has model servers that only answer.
func TestServersWithoutMetrics(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := t.TempDir()
	t.Run("no detector is asked for", func(t *testing.T) {
		file := filepath.Join(dir, "without.yaml")
		write(t, file, config.Empty)
		r := start(t, file, map[string]string{"max-concurrency": ""})
		for range 3 {
			if code := r.ask(t, ""); code != http.StatusOK {
				t.Errorf("status %d, want 200", code)
			}
		}
		eventually(t, "a warning names what holds", func() bool {
			return r.logs.FilterLevelExact(zapcore.WarnLevel).Filter(func(e observer.LoggedEntry) bool {
				return strings.Contains(e.Message, "limited as by a concurrency-detector")
			}).Len() > 0
		})
		if code := r.ask(t, ""); code != http.StatusOK {
			t.Errorf("status %d after the warning, want 200", code)
		}
	})
	t.Run("the utilization detector is asked for", func(t *testing.T) {
		file := filepath.Join(dir, "utilization.yaml")
		write(t, file, config.Empty+"flowControl: {saturationDetector: {pluginRef: utilization-detector}}\n")
		r := start(t, file, map[string]string{"max-concurrency": ""})
		began := time.Now()
		if code := r.ask(t, ""); code != http.StatusServiceUnavailable || time.Since(began) > 20*time.Second {
			t.Errorf("one that waits: status %d after %v, want 503 after 2 s, long before its TTL of 60 s", code, time.Since(began))
		}
		began = time.Now()
		res, err := http.Post(r.url+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"hi"}`)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"metrics_unreadable"`) || time.Since(began) > 20*time.Second {
			t.Errorf("the next: status %d after %v: %s; want 503 at once, metrics_unreadable", res.StatusCode, time.Since(began), body)
		}
	})
}

// TestAdminToken changes the token that operators give.
func TestAdminToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "first\n")
	r := start(t, "", map[string]string{"admin-token-file": file})
	status := func(path, authorization string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	check := func(path, authorization string, want int) {
		t.Helper()
		if got := status(path, authorization); got != want {
			t.Errorf("%s with %q: status %d, want %d", path, authorization, got, want)
		}
	}
	check("/healthz", "", 200)
	check("/readyz", "", 200)
	check("/", "", 200) // a page without figures, which asks for the token
	check("/console/app.js", "", 200)
	check("/console/../v1/pool", "", 401)
	check("/v1/pool", "", 401)
	check("/metrics", "Bearer second", 401)
	check("/metrics", "Basic first", 401)
	check("/debug/pprof/", "", 401)
	check("/../healthz/../v1/pool", "", 401)
	check("/metrics", "bearer first", 200)
	write(t, file, "second")
	check("/v1/pool", "Bearer first", 401)
	check("/v1/pool", "Bearer second", 200)
	write(t, file, "")
	check("/v1/pool", "Bearer ", 503)
}
