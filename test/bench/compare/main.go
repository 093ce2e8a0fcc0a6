// Command compare runs the benchmarks of the folder above on two versions of Weir, in turn, so
// that both meet the machine in the same state, and prints what each measured and the
// ratio:
//
//	go run ./test/bench/compare -base COMMIT [-bench Unsaturated] [-benchtime 2000x] [-rounds 3]
//
// Without -bench it runs those by which a fleet on Redis is judged, each for as long as it
// takes to tell. The benchmarks are those of the working tree in both: what is compared is what
// they measure. A file of them that does not compile in the base, since it is about what the
// base has not, or says otherwise, is left out there; a benchmark of it that the base has in
// its own words is run in these, and compared where both report the same.
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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

// run is one call of the benchmarks: which of them, and how long, as for go test.
type run struct{ bench, benchtime string }

// judged are the benchmarks by which a fleet on Redis is judged.
var judged = []run{
	{"Unsaturated", "10000x"},
	{"^BenchmarkGrants", "100000x"},
	{"^BenchmarkLatency", "3x"},
	{"Binding/service=10ms", "5x"},
	{"TurnCost/standing=(1|32)/replicas", "2000x"},
}

func main() {
	base := flag.String("base", "", "the commit to compare with")
	bench := flag.String("bench", "", "which benchmarks, a regular expression as for go test; by default those by which a fleet is judged")
	benchtime := flag.String("benchtime", "2000x", "how long each of -bench runs, as for go test")
	rounds := flag.Int("rounds", 3, "how often each is run; the median is printed")
	flag.Parse()
	if *base == "" {
		fmt.Fprintln(os.Stderr, "compare: name the commit to compare with: -base COMMIT")
		os.Exit(2)
	}
	runs := judged
	if *bench != "" {
		runs = []run{{*bench, *benchtime}}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := compare(ctx, *base, runs, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, base string, runs []run, rounds int) error {
	dir, err := os.MkdirTemp("", "weir-compare-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	before, err := buildBase(ctx, dir, base)
	if err != nil {
		return err
	}
	now := dir + "/now.test"
	if err := command(ctx, "", "go", "test", "-c", "-o", now, "./"+folder); err != nil {
		return fmt.Errorf("build the benchmarks: %w", err)
	}
	measured := [2]results{{}, {}}
	for _, r := range runs {
		for range rounds {
			for i, programs := range [][]program{before, {{path: now}}} {
				for _, p := range programs {
					if err := measured[i].measure(ctx, p, r); err != nil {
						return err
					}
				}
			}
		}
	}
	return table(measured[0], measured[1])
}

// measure runs benchmarks of a program and takes in what they report.
func (r results) measure(ctx context.Context, p program, which run) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, p.path, "-test.run", "^$", "-test.bench", which.bench, "-test.benchtime", which.benchtime, "-test.skip", p.skip)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run the benchmarks: %w\n%s", err, out.String())
	}
	r.add(&out)
	return nil
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

// median is the one in the middle, or between the two there.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
