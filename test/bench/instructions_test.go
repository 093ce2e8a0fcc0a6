package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/store"
	"github.com/weirflow/weir/store/redis"
)

// BenchmarkTurnInstructions: how many instructions Redis takes in the function or script of a
// turn, under callgrind, with the ledger's clock set by hand: other work on the machine changes
// neither. A hundred turns are enough. In turn: one replaces an offer by another at a full pool;
// the same in groups of three levels, where few stand and each turn empties two and begins two,
// and where many do; one offers 32 and is granted them, without groups and in them.
func BenchmarkTurnInstructions(b *testing.B) {
	for _, c := range []struct {
		name                                       string
		standing, replicas, flows, groups, granted int
	}{
		{"standing=32", 32, 8, 1, 0, 0},
		{"standing=32,seen=1000", 32, 8, 1000, 0, 0},
		{"standing=32,seen=1000,groups=1000", 32, 8, 1000, 1000, 0},
		{"standing=4000", 4000, 8, 1, 0, 0},
		{"standing=4000,groups=1000", 4000, 8, 1, 1000, 0},
		{"granted=32", 0, 8, 1, 0, 32},
		{"granted=32,groups=1000", 0, 8, 1, 1000, 32},
	} {
		b.Run(c.name, func(b *testing.B) {
			server := startCounted(b)
			now := time.Unix(1_700_000_000, 0)
			l, err := redis.Open(context.Background(), redis.Config{
				URL: server.URL(), Timeout: time.Minute, Timings: store.Timings{Lease: time.Hour},
				Clock: func() time.Time { now = now.Add(20 * time.Microsecond); return now },
			})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // a benchmark
			run := newTurns(b, l, c.standing, c.replicas, c.flows, c.groups)
			turn := run.turn
			if c.granted > 0 {
				run.statement.Bands[0].Limit, run.statement.Bands[0].InFlight = store.Unlimited, 0
				turn = func() { run.offerAndTake(c.granted) }
			}
			for range 20 {
				turn()
			}
			before := instructions(b, server)
			b.ResetTimer()
			for range b.N {
				turn()
			}
			b.StopTimer()
			b.ReportMetric((instructions(b, server)-before)/float64(b.N), "instr/turn")
			b.ReportMetric(0, "ns/op")
			runtime.KeepAlive(run)
		})
	}
}

// offerAndTake offers so many, which are granted.
func (t *turns) offerAndTake(n int) {
	for range n {
		t.offer(fmt.Sprint("flow-", t.next%16))
	}
	if granted := t.take().Messages; len(granted) != n {
		t.tb.Fatalf("%d of %d offers were granted", len(granted), n)
	}
}

// startCounted starts a Redis server under callgrind, which counts what is taken by functions
// and scripts alone.
func startCounted(b *testing.B) *redistest.Server {
	b.Helper()
	for _, tool := range []string{"valgrind", "callgrind_control"} {
		needs.Tool(b, tool)
	}
	needs.Tool(b, "redis-server")
	server, err := exec.LookPath("redis-server")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	text := fmt.Sprintf("#!/bin/sh\nexec valgrind -q --tool=callgrind --toggle-collect=luaCallFunction --callgrind-out-file=%s/counts.%%p %s \"$@\"\n", dir, server)
	if err := os.WriteFile(filepath.Join(dir, "redis-server"), []byte(text), 0o755); err != nil { //nolint:gosec // a program
		b.Fatal(err)
	}
	b.Setenv("COUNTS", dir)
	b.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return redistest.Start(b)
}

// instructions is how many it took since its start.
func instructions(b *testing.B, server *redistest.Server) float64 {
	b.Helper()
	pid := strconv.Itoa(server.PID())
	if out, err := exec.Command("callgrind_control", "--dump", pid).CombinedOutput(); err != nil {
		b.Fatalf("callgrind_control: %v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(os.Getenv("COUNTS"), "counts."+pid+".*"))
	if err != nil || len(files) == 0 {
		b.Fatalf("no counts: %v", err)
	}
	total := 0.0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), "\ntotals: ")
		line, _, _ := strings.Cut(after, "\n")
		n, err := strconv.ParseFloat(line, 64)
		if err != nil {
			b.Fatalf("counts: %v", err)
		}
		total += n
	}
	return total
}
