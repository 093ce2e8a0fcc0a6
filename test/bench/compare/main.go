// Command compare runs the benchmarks of this folder on two versions of Weir, in turn, so
// that both meet the machine in the same state, and prints what each measured and the
// ratio:
//
//	go run ./test/bench/compare -base COMMIT [-bench Unsaturated] [-benchtime 2000x] [-rounds 3]
//
// The benchmarks are those of the working tree in both: what is compared is what they
// measure. A base in which they do not compile is too old.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

func main() {
	base := flag.String("base", "", "the commit to compare with")
	bench := flag.String("bench", ".", "which benchmarks, a regular expression as for go test")
	benchtime := flag.String("benchtime", "2000x", "how long each runs, as for go test")
	rounds := flag.Int("rounds", 3, "how often each is run; the median is printed")
	flag.Parse()
	if *base == "" {
		fmt.Fprintln(os.Stderr, "compare: name the commit to compare with: -base COMMIT")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *base, *bench, *benchtime, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, base, bench, benchtime string, rounds int) error {
	dir, err := os.MkdirTemp("", "weir-compare-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	old := filepath.Join(dir, "base")
	if err := command(ctx, "", "git", "worktree", "add", "--detach", "--quiet", old, base); err != nil {
		return fmt.Errorf("check out %s: %w", base, err)
	}
	defer func() {
		_ = command(context.WithoutCancel(ctx), "", "git", "worktree", "remove", "--force", old)
	}()
	if err := command(ctx, "", "cp", "-r", "test/bench/.", filepath.Join(old, "test/bench")); err != nil {
		return err
	}
	binaries := []string{filepath.Join(dir, "base.test"), filepath.Join(dir, "now.test")}
	for i, in := range []string{old, ""} {
		if err := command(ctx, in, "go", "test", "-c", "-o", binaries[i], "./test/bench"); err != nil {
			return fmt.Errorf("build the benchmarks: %w", err)
		}
	}
	measured := [2]results{{}, {}}
	for range rounds {
		for i, binary := range binaries {
			var out bytes.Buffer
			cmd := exec.CommandContext(ctx, binary, "-test.run", "^$", "-test.bench", bench, "-test.benchtime", benchtime)
			cmd.Dir, cmd.Stdout, cmd.Stderr = "test/bench", &out, os.Stderr
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("run the benchmarks: %w\n%s", err, out.String())
			}
			measured[i].add(&out)
		}
	}
	return table(measured[0], measured[1])
}

// command runs a command in a folder.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	return cmd.Run()
}

// metric is one that a benchmark reports.
type metric struct{ benchmark, unit string }

// results are a version's values of each metric, one a round.
type results map[metric][]float64

// add takes in what a run printed: lines of a name, a count, and values with their units.
func (r results) add(out *bytes.Buffer) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if value, err := strconv.ParseFloat(fields[i], 64); err == nil {
				m := metric{fields[0], fields[i+1]}
				r[m] = append(r[m], value)
			}
		}
	}
}

// table writes the medians of both versions, and how many times the base's the present one
// is.
func table(base, now results) error {
	metrics := make([]metric, 0, len(now))
	for m := range now {
		if len(base[m]) > 0 {
			metrics = append(metrics, m)
		}
	}
	if len(metrics) == 0 {
		return fmt.Errorf("no benchmark ran in both versions")
	}
	slices.SortFunc(metrics, func(a, b metric) int {
		return strings.Compare(a.benchmark+" "+a.unit, b.benchmark+" "+b.unit)
	})
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "benchmark\tunit\tbase\tnow\tratio")
	for _, m := range metrics {
		before, after := median(base[m]), median(now[m])
		ratio := "-"
		if before != 0 {
			ratio = strconv.FormatFloat(after/before, 'f', 2, 64)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.4g\t%.4g\t%s\n", strings.TrimPrefix(m.benchmark, "Benchmark"), m.unit, before, after, ratio)
	}
	return w.Flush()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
