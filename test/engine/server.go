package engine

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// Slots is how many requests a server answers at once; further ones it queues.
const Slots = 4

// Server is a llama.cpp server.
type Server struct {
	// Direct is its own address, and URL one by which its requests are counted.
	Direct, URL string

	inFlight, peak atomic.Int64
}

// built is where make engine puts the server.
func built(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("WEIR_ENGINE")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			tb.Fatal(err)
		}
		dir = filepath.Join(cache, "weir", "llama.cpp-11434")
	}
	path := filepath.Join(dir, "llama-server")
	if _, err := os.Stat(path); err != nil {
		// Not by needs: it takes 20 minutes to build, which no run of all tests waits for.
		tb.Skipf("skipped: no llama.cpp server (%v); make engine builds one, in 20 minutes", err)
	}
	return path
}

// Start starts so many servers with the same model, and waits until they answer. The
// counts of what goes through their URLs are also kept together, in all.
func Start(tb testing.TB, n int) (all *processes.Servers, each []*Server) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("skipped: runs a real engine")
	}
	path := built(tb)
	model := filepath.Join(tb.TempDir(), "random.gguf")
	if err := WriteModel(model); err != nil {
		tb.Fatal(err)
	}
	all = &processes.Servers{}
	for range n {
		s := &Server{Direct: run(tb, path, model)}
		s.count(tb, all)
		each, all.URLs = append(each, s), append(all.URLs, s.URL)
	}
	for _, s := range each {
		s.ready(tb)
	}
	return all, each
}

// run starts a server and returns its address.
func run(tb testing.TB, path, model string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close() // it takes no port of its own choice
	cmd := exec.Command(path, "--model", model, "--host", host, "--port", port, "--metrics", "--no-webui",
		"--parallel", strconv.Itoa(Slots), "--ctx-size", strconv.Itoa(contextSize), "--threads", "1")
	out, err := cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := lines.Text(); strings.Contains(text, "error") {
				tb.Logf("llama.cpp: %s", text)
			}
		}
	}()
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return "http://" + net.JoinHostPort(host, port)
}

// count puts a proxy before the server that counts what is under way through it.
func (s *Server) count(tb testing.TB, all *processes.Servers) {
	tb.Helper()
	target, err := url.Parse(s.Direct)
	if err != nil {
		tb.Fatal(err)
	}
	// The server closes connections after 5 s or 100 requests, also when one is on its way.
	fresh := &http.Transport{DisableKeepAlives: true}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Transport: fresh, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			processes.Raise(&s.peak, s.inFlight.Add(1))
			processes.Raise(&all.Peak, all.InFlight.Add(1))
			defer func() { s.inFlight.Add(-1); all.InFlight.Add(-1) }()
		}
		proxy.ServeHTTP(w, r)
	}))
	tb.Cleanup(server.Close)
	s.URL = server.URL
}

// ready waits until the server has loaded its model.
func (s *Server) ready(tb testing.TB) {
	tb.Helper()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(s.Direct + "/health")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		if time.Since(began) > 30*time.Second {
			tb.Fatalf("llama.cpp does not answer: %v", err)
		}
	}
}

// Peak is the most that was under way through URL since it was last asked.
func (s *Server) Peak() int { return int(s.peak.Swap(s.inFlight.Load())) }

// Metric is one of the server's own metrics now.
func (s *Server) Metric(tb testing.TB, name string) (value float64) {
	tb.Helper()
	res, err := http.Get(s.Direct + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, name+" %g", &value); err == nil {
			return value
		}
	}
	tb.Fatalf("no metric %s in\n%s", name, text)
	return 0
}
