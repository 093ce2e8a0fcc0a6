package integration

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestAccessLog sends nine requests to a replica that logs all of them, and reads what it
// wrote on standard output: nine lines, each with the id of one of the answers.
func TestAccessLog(t *testing.T) {
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
