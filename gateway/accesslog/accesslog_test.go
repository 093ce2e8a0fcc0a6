package accesslog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirflow/weir/gateway/accesslog"
)

var all = must("all")

func must(text string) accesslog.Selection {
	s, err := accesslog.Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

// TestLines wants a line of JSON for each request, whatever clients made up.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	l := accesslog.New(&out, all, zap.NewNop())
	hostile := "a\"b\\c\n{\x00\xff\u2028é"
	l.Add(&accesslog.Entry{
		Arrived: time.Unix(1, 500_000), Duration: 1500 * time.Microsecond, ID: "1", Tenant: hostile, Model: hostile, Path: hostile,
		Queued: true, Waited: time.Millisecond, WaitedFor: "pool", Counted: true, TokensIn: 3, TokensCached: 1, TokensOut: 2, Charge: 0.5, Status: 200,
	})
	l.Add(&accesslog.Entry{ID: "2", Status: 401, Reason: "invalid_api_key"})
	l.Close()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), out.String())
	}
	var first, second map[string]any
	for i, into := range []*map[string]any{&first, &second} {
		if err := json.Unmarshal([]byte(lines[i]), into); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
	}
	for name, want := range map[string]any{
		"time": "1970-01-01T00:00:01.000500Z", "id": "1", "tenant": strings.ToValidUTF8(hostile, "\ufffd"), "waited_ms": 1.0, "waited_for": "pool",
		"duration_ms": 1.5, "tokens_in": 3.0, "tokens_cached": 1.0, "tokens_out": 2.0, "charge": 0.5, "status": 200.0,
	} {
		if first[name] != want {
			t.Errorf("%s is %v, want %v", name, first[name], want)
		}
	}
	for _, name := range []string{"waited_ms", "tokens_in", "charge", "tenant"} {
		if value, there := second[name]; there {
			t.Errorf("of a request that was refused at once, %s is %v", name, value)
		}
	}
}

// TestSlowReader wants requests to go on where nobody reads the log, and what is lost to be
// counted.
func TestSlowReader(t *testing.T) {
	reader, writer := io.Pipe()
	l := accesslog.New(writer, all, zap.NewNop())
	const lines = 200_000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range lines {
			l.Add(&accesslog.Entry{Status: 200})
		}
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("requests wait for the reader of the log")
	}
	lost := l.Lost()
	if lost == 0 || lost == lines {
		t.Errorf("%d of %d lines were lost", lost, lines)
	}
	var read int
	var reading sync.WaitGroup
	reading.Go(func() {
		text, _ := io.ReadAll(reader)
		read = bytes.Count(text, []byte("\n"))
	})
	l.Close()
	_ = writer.CloseWithError(io.EOF)
	reading.Wait()
	if uint64(read)+lost != lines {
		t.Errorf("%d lines were read and %d lost, of %d", read, lost, lines)
	}
	if l.Add(&accesslog.Entry{}); l.Lost() != lost+1 {
		t.Error("a line after the end is not counted as lost")
	}
}

// TestBrokenWriter wants lines that could not be written to be counted.
func TestBrokenWriter(t *testing.T) {
	l := accesslog.New(broken{}, all, zap.NewNop())
	l.Add(&accesslog.Entry{})
	l.Close()
	if l.Lost() != 1 {
		t.Errorf("%d lines are lost, not 1", l.Lost())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

// disk has room for so many bytes.
type disk struct {
	mu   sync.Mutex
	text []byte
	room int
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(p), d.room)
	d.room -= n
	d.text = append(d.text, p[:n]...)
	if n < len(p) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func (d *disk) free(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

// TestFullDisk fills the disk within a line and makes room again: what was written whole is not
// counted as lost, the next line begins anew, and both are said in Weir's own log, once.
func TestFullDisk(t *testing.T) {
	core, said := observer.New(zapcore.InfoLevel)
	var line bytes.Buffer
	l := accesslog.New(&line, all, zap.NewNop())
	l.Add(&accesslog.Entry{Status: 200})
	l.Close()

	to := &disk{room: 2*line.Len() + line.Len()/2}
	l = accesslog.New(to, all, zap.New(core))
	add := func(lines int) {
		for range lines {
			l.Add(&accesslog.Entry{Status: 200})
		}
	}
	lost := func(want uint64) {
		t.Helper()
		for began := time.Now(); l.Lost() != want; time.Sleep(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%d lines are lost, want %d", l.Lost(), want)
			}
		}
	}
	add(5)
	lost(3)
	add(2)
	lost(5)
	to.free(1 << 20)
	add(4)
	l.Close()
	lost(5)
	whole := 0
	for _, text := range strings.Split(strings.TrimSuffix(string(to.text), "\n"), "\n") {
		if json.Valid([]byte(text)) {
			whole++
		}
	}
	if lines := bytes.Count(to.text, []byte("\n")); whole != 6 || lines != 7 {
		t.Errorf("%d of %d lines can be read, want 6 of 7:\n%s", whole, lines, to.text)
	}
	if n := said.FilterMessageSnippet("cannot be written").Len(); n != 1 {
		t.Errorf("it was said %d times that the disk is full", n)
	}
	if n := said.FilterMessageSnippet("written again").Len(); n != 1 {
		t.Errorf("it was said %d times that there is room", n)
	}
}

// TestSelections wants what the flag takes, and nothing else.
func TestSelections(t *testing.T) {
	for _, text := range []string{"al", "sample:", "sample:0", "sample:1.1", "sample:x", "sample:NaN", "ON"} {
		if _, err := accesslog.Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for text, want := range map[string][2]bool{"off": {}, "": {}, "refused": {false, true}, "all": {true, true}, "sample:1": {true, true}} {
		s := must(text)
		if got := [2]bool{s.Wants(false), s.Wants(true)}; got != want {
			t.Errorf("%q: served and refused %v, want %v", text, got, want)
		}
	}
	n, s := 0, must("sample:0.25")
	for range 10_000 {
		if s.Wants(false) {
			n++
		}
	}
	if n < 2000 || n > 3000 {
		t.Errorf("sample:0.25 takes %d of 10000", n)
	}
}

// BenchmarkAdd measures what a line costs the request that it is about.
func BenchmarkAdd(b *testing.B) {
	l := accesslog.New(io.Discard, all, zap.NewNop())
	defer l.Close()
	e := accesslog.Entry{
		Arrived: time.Now(), Duration: 1234567 * time.Microsecond, ID: "b5c1de65-0d4a-4a4a-9a5a-6d1f6b9d9f10", Trace: "4bf92f3577b34da6a3ce929d0e0e4736",
		Tenant: "team-a", Objective: "interactive", Model: "meta-llama/Llama-3.1-8B-Instruct", Priority: 10, Method: "POST", Path: "/v1/chat/completions",
		Replica: "weir-0", Owner: "weir-1", Endpoint: "10.0.0.7:8000", Queued: true, Waited: 12345 * time.Microsecond, WaitedFor: "pool",
		FirstToken: 345678 * time.Microsecond, Counted: true, TokensIn: 1234, TokensCached: 1024, TokensOut: 345, Charge: 1.25, Status: 200,
	}
	b.ReportAllocs()
	for b.Loop() {
		if l.Wants(false) {
			l.Add(&e)
		}
	}
	b.ReportMetric(float64(l.Lost())/float64(b.N), "lost/op")
}
