package endpoints

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// listed writes specs as name@url, and metrics where they are elsewhere.
func listed(specs []Spec) string {
	var all []string
	for _, s := range specs {
		text := s.Name + "@" + s.URL.String()
		if s.Metrics != nil {
			text += " metrics " + s.Metrics.String()
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func TestParseFile(t *testing.T) {
	for text, want := range map[string]string{
		"- {address: 10.0.0.1, port: 8000}": "@http://10.0.0.1:8000",
		"endpoints:\n- {name: a, namespace: n, address: h, port: \"80\", labels: {x: y}, scheme: https}": "n/a@https://h:80",
		"- {name: a, address: '::1', port: 1, metricsHost: m}":                                           "a@http://[::1]:1 metrics http://m:1/metrics",
		"- {address: a, port: 1, metricsHost: 'm:9'}":                                                    "@http://a:1 metrics http://m:9/metrics",
		"endpoints: []": "",
		"":              "",
	} {
		specs, err := parseFile([]byte(text))
		if got := listed(specs); err != nil || got != want {
			t.Errorf("%s\n got %q, %v\nwant %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"- {address: a}":                       "endpoints[0]: bad endpoint: port is missing",
		"- {port: 1}":                          "address is missing",
		"- {address: 'a:1', port: 1}":          "give the port in the field port",
		"- {address: a, port: 99999}":          "from 1 to 65535",
		"- {address: a, port: x}":              "from 1 to 65535",
		"- {address: a, port: 1, weight: 2}":   "field weight not found",
		"- {address: a, port: 1, scheme: ftp}": "neither http nor https",
		"- {address: a, port: 1}\n- {address: b, port: 1}\n- {address: a, port: 1}": "a:1 is listed already, as endpoints[0]",
		"endpoint: []":   "field endpoint not found",
		"- [":            "line 1",
		"just words":     "cannot unmarshal",
		"- {address: 'a": "unexpected end",
	} {
		_, err := parseFile([]byte(text))
		if !errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n got %v\nwant %q", text, err, says)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("- {name: a, address: 10.0.0.1, port: 8000, metricsHost: m}"))
	f.Add([]byte("endpoints: [&a {address: a, port: 1}, *a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		specs, err := parseFile(text)
		if err != nil && !errors.Is(err, ErrSpec) {
			t.Errorf("%q: %v", text, err)
		}
		for i := range specs {
			if _, _, err := net.SplitHostPort(specs[i].Address()); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// follow runs a source until the test ends, and returns what it says.
func follow(t *testing.T, s Source) <-chan string {
	t.Helper()
	updates := make(chan string, 100)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx, func(specs []Spec) { updates <- listed(specs) }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { stop(); <-ended })
	return updates
}

// TestFile follows a file that changes, breaks, vanishes and is mended.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	core, logs := observer.New(zap.InfoLevel)
	synctest.Test(t, func(t *testing.T) {
		write("- {address: a, port: 1}")
		updates := follow(t, &File{Path: path, Logger: zap.New(core)})
		synctest.Wait()
		write("- {address: a, port: 1}\n- {address: b}")
		time.Sleep(3 * time.Second)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		write("- {address: c, port: 1}")
		time.Sleep(3 * time.Second)
		for _, want := range []string{"@http://a:1", "@http://c:1"} {
			if got := <-updates; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if len(updates) > 0 {
			t.Errorf("then %q", <-updates)
		}
	})
	var said []string
	for _, e := range logs.All() {
		said = append(said, e.Message+": "+strings.ReplaceAll(e.ContextMap()["error"].(string), path, "FILE"))
	}
	const kept = "the endpoint file cannot be used; the endpoints stay as they are: endpoint file: "
	want := []string{kept + "endpoints[1]: bad endpoint: port is missing", kept + "open FILE: no such file or directory"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

// TestDNS follows a name whose addresses change and whose servers fail.
func TestDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []func() ([]string, error){
			func() ([]string, error) { return []string{"10.0.0.2", "10.0.0.1"}, nil },
			func() ([]string, error) { return []string{"10.0.0.1", "10.0.0.2", "10.0.0.1"}, nil },
			func() ([]string, error) { return nil, &net.DNSError{Err: "server misbehaving", IsTemporary: true} },
			func() ([]string, error) { return []string{"::1"}, nil },
			func() ([]string, error) { return nil, &net.DNSError{Err: "no such host", IsNotFound: true} },
			func() ([]string, error) { return []string{"10.0.0.3"}, nil },
		}
		var asked atomic.Int32
		source, err := NewDNS("vllm.default.svc:8000")
		if err != nil {
			t.Fatal(err)
		}
		source.Resolve = func(context.Context, string) ([]string, error) {
			n := int(asked.Add(1))
			return answers[min(n, len(answers))-1]()
		}
		updates := follow(t, source)
		time.Sleep(time.Minute)
		for _, want := range []string{"@http://10.0.0.1:8000, @http://10.0.0.2:8000", "@http://[::1]:8000", "", "@http://10.0.0.3:8000"} {
			if got := <-updates; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if len(updates) > 0 || asked.Load() < 11 {
			t.Errorf("asked %d times, %d more updates", asked.Load(), len(updates))
		}
	})
	for _, bad := range []string{"", "host", ":80", "host:"} {
		if _, err := NewDNS(bad); !errors.Is(err, ErrSpec) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
