package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/test/processes"
)

// TestAccessLog sends nine requests to a replica that logs all of them, and reads what it
// wrote on standard output: nine lines, each with the id of one of the answers.
func TestAccessLog(t *testing.T) {
	t.Parallel() // it mostly waits
	file, err := os.Create(filepath.Join(t.TempDir(), "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it is read by its name
	cmd := exec.Command(processes.Binary())
	cmd.Stdout = file
	r := processes.StartBy(t, cmd, "127.0.0.1", "r1", processes.StartServers(t, 1, processes.Limit), "--access-log", "all")
	statuses := make(map[string]int)
	for i := range 9 {
		body := `{"model":"m","max_tokens":4,"messages":[{"role":"user","content":"hi"}]}`
		if i%3 == 2 {
			body = "no JSON"
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			req.Header.Set("X-Request-Id", fmt.Sprint("mine-", i))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		statuses[res.Header.Get("X-Request-Id")] = res.StatusCode
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // all lines are written then

	written, err := os.Open(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close() //nolint:errcheck // read only
	logged, lines := make(map[string]int), 0
	for scanner := bufio.NewScanner(written); scanner.Scan(); lines++ {
		var line struct {
			ID      string `json:"id"`
			Replica string `json:"replica"`
			Status  int    `json:"status"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil || line.Replica != "r1" {
			t.Errorf("%s: %v", scanner.Bytes(), err)
		}
		logged[line.ID] = line.Status
	}
	if lines != 9 || len(statuses) != 9 || !maps.Equal(statuses, logged) {
		t.Errorf("%d lines\nanswered: %v\nlogged:   %v", lines, statuses, logged)
	}
}

// TestRequestLogUnread has a replica write its request log to a pipe that nobody reads any more,
// as when a log shipper restarts: the lines are lost and counted, and requests go on.
func TestRequestLogUnread(t *testing.T) {
	t.Parallel() // it mostly waits
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(processes.Binary())
	cmd.Stdout = writer
	r := processes.StartBy(t, cmd, "127.0.0.1", "r1", processes.StartServers(t, 1, processes.Limit), "--access-log", "all")
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	load, ctx := processes.StartLoad(t)
	for i := range 3 {
		if err := load.Ask(ctx, "a", r); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if !r.Says("the request log cannot be written", 5*time.Second) {
			t.Fatal("the replica does not say that its request log is lost")
		}
	}
	if lost := processes.Metric(t, "weir_access_log_lines_lost_total", r); lost == 0 {
		t.Error("no line is counted as lost")
	}
}

// TestLogUnread has nobody read a replica's log: when what the system buffers of it is full, requests
// that are logged are answered as ever, and the replica ends when it is told to.
func TestLogUnread(t *testing.T) {
	t.Parallel() // it mostly waits
	broken := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler) // which is logged
		}
	}))
	t.Cleanup(broken.Close)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() })
	listen := freeport.Address(t)
	cmd := exec.Command(processes.Binary(), "serve", "--listen", listen, "--admin", "127.0.0.1:0", "--upstream", broken.URL, "--max-concurrency", "1")
	cmd.Stderr = writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	client := http.Client{Timeout: 10 * time.Second}
	for i := 0; i < 600; { // of which each takes more than 200 bytes of the log
		res, err := client.Post("http://"+listen+"/v1/completions", "application/json", strings.NewReader(`{"model":"m","prompt":"hi"}`))
		if err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) && i == 0 { // it starts
				time.Sleep(10 * time.Millisecond)
				continue
			}
			t.Fatalf("request %d: %v", i, err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusBadGateway {
			t.Fatalf("request %d: %s", i, res.Status)
		}
		i++
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the replica does not end")
	}
}
