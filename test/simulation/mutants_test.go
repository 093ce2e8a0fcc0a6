package simulation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/shard"
)

// mutant is a rule of the engine that is undone, by other text in one place of a file.
type mutant struct {
	rule      string // what goes wrong
	file      string // of the module
	was, is   string // expressions; or statements, and the other may do nothing
	statement bool
	found     string // the invariant that breaks first, or the test that fails
	in        string // the package of that test; empty for the simulation
}

// mutants are all of them; each is named by its place.
var mutants = slices.Concat(simulated, tested)

const (
	// mutantsVariable says within how many seeds TestMutants wants each mutant to be found.
	mutantsVariable = "WEIR_MUTANTS"
	// mutantVariable names the one that is in force in a binary that has them all, by its place.
	mutantVariable = "WEIR_MUTANT"
	module         = "github.com/weirflow/weir"
)

// TestMutantsAreThere wants the text that each mutant is about to be in its file, once.
func TestMutantsAreThere(t *testing.T) {
	for i, text := range mutatedFiles(t) {
		if text == "" {
			t.Errorf("%s has not exactly once: %s", mutants[i].file, mutants[i].was)
		}
	}
}

// mutatedFiles returns for each mutant the file as it was, or nothing if the mutant's text is not in
// it once.
func mutatedFiles(t *testing.T) []string {
	t.Helper()
	texts := make([]string, len(mutants))
	for i, m := range mutants {
		text, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), m.was) == 1 {
			texts[i] = string(text)
		}
	}
	return texts
}

// TestMutants undoes one rule of the engine after the other, and wants the seeds that are drawn, those
// of stopped replicas and those of endpoints apart to find each, by the check that its table names, or the
// test to fail that it names.
func TestMutants(t *testing.T) {
	within, ok := number(t, mutantsVariable)
	if !ok {
		t.Skip("skipped: it takes minutes; make mutants runs it")
	}
	binaries := buildMutants(t)
	for i, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			test := "^TestFirstBroken$"
			if m.in != "" {
				test = "^" + strings.ReplaceAll(m.found, "/", "$/^") + "$"
			}
			cmd := exec.Command(binaries[m.in], "-test.run", test, "-test.v", "-test.timeout", "10m")
			cmd.Dir = filepath.Join("..", "..", cmp.Or(m.in, "test/simulation"))
			cmd.Env = append(os.Environ(), fmt.Sprint(mutantVariable, "=", i+1), "RAPID_SEED=1", "RAPID_NOFAILFILE=true")
			out, _ := cmd.CombinedOutput()
			if m.in != "" {
				if !strings.Contains(string(out), "--- FAIL: "+m.found+" ") {
					t.Errorf("%s of %s does not fail:\n%s", m.found, m.in, out)
				}
				return
			}
			found := broken.FindStringSubmatch(string(out))
			switch {
			case found == nil:
				t.Errorf("no check finds it within %d seeds, want %s:\n%s", within, m.found, out)
			case found[1] != m.found:
				t.Errorf("found by %s, want %q", found[0], m.found)
			default:
				t.Log(found[0])
			}
		})
	}
}

// broken is how TestFirstBroken says what it found.
var broken = regexp.MustCompile(`(?m)(fairness and continuity|[a-z ]+), in (\w+) by seed (\d+)$`)

// TestFirstBroken runs seeds until one breaks an invariant, in a binary that TestMutants built.
func TestFirstBroken(t *testing.T) {
	within, ok := number(t, mutantsVariable)
	if !ok || os.Getenv(mutantVariable) == "" {
		t.Skip("skipped: TestMutants runs it in a binary of its own")
	}
	for seed := range within {
		for _, run := range runsOf(seed) {
			if _, err := Run(run.cfg); errors.Is(err, ErrInvariant) {
				_, what, _ := strings.Cut(err.Error(), ErrInvariant.Error()+": ")
				what, _, _ = strings.Cut(what, ":")
				fmt.Printf("\n%s, in %s by seed %d\n", what, run.kind, seed)
				return
			}
		}
	}
}

// kind is a run of a seed, and what it is called.
type kind struct {
	kind string
	cfg  Config
}

// runsOf are the runs that a seed draws: each, and of every fourth those that take long. The last are full
// pools, with and without a higher band, near to the ledger and far, and one that is full every other second.
func runsOf(seed uint64) []kind {
	runs := []kind{{"drawn", draw(seed)}, {"wider", draw(wider + seed)}, {"apart", reachApart(seed)}}
	if seed%4 > 0 {
		return runs
	}
	full, urgent := fullFleet(), urgentCallers(1+int(seed/4)%3, true, 0, 3)
	full.Seed, full.RoundTrip = seed, []time.Duration{0, 15, 110}[seed/4%3]*time.Millisecond
	urgent.Seed, urgent.RoundTrip, urgent.Length = seed, []time.Duration{0, 110, 300}[seed/4%3]*time.Millisecond, 12*time.Second
	light := Config{
		Seed: seed, Replicas: 3, Shards: 32, Limit: 12, Bounded: true, Length: 8 * time.Second, Service: 50 * time.Millisecond,
		Flows: []Flow{
			{ID: "light", Weight: 1, Clients: 10, Light: true, Replicas: []int{0, 1, 2}},
			{ID: "tide", Weight: 1, Clients: 24, Light: true, Tide: true, Replicas: []int{int(seed/4) % 3}},
		},
	}
	failing, short := fullFleet(), roomBesideShort(seed)
	failing.Seed, failing.Faults = seed, slices.Repeat([]Fault{Failover}, 8)
	lost := reachApart(seed)
	lost.Faults, lost.Reach, lost.Apart = []Fault{Outage, Restart, Outage}, nil, false
	lost.Groups, lost.Maxima = map[string]float64{"a": 1, shard.Others: 1}, map[string]shard.Maximum{"a": {Requests: 1 + int64(seed/4)%2}}
	for i, group := range []string{"a", shard.Others, shard.Others} {
		lost.Flows[i].Group = group
	}
	runs = append(runs, kind{"failing", failing}, kind{"short", short}, kind{"lost", lost})
	return append(runs, kind{"stopped", stopped(seed)}, kind{"drained", drained(seed)}, kind{"full", full}, kind{"urgent", urgent}, kind{"light", light})
}

// buildMutants builds this test, and those of the packages whose tests find mutants, with all mutants in
// them, of which mutantVariable says the one that is in force, and returns their paths by those packages.
func buildMutants(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]string{}
	add := func(path, text string) {
		at := filepath.Join(dir, strconv.Itoa(len(overlay))+".go")
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, path)] = at
	}
	files := map[string]string{}
	texts := mutatedFiles(t)
	for _, i := range longestFirst() {
		m, text := &mutants[i], texts[i]
		if files[m.file] == "" {
			_, rest, _ := strings.Cut(text, "\nimport")
			before := strings.TrimSuffix(text, "\nimport"+rest)
			if rest == "" { // it imports nothing
				pkg := regexp.MustCompile(`(?m)^package \w+\n`).FindStringIndex(text)
				before, rest = text[:pkg[1]], text[pkg[1]:]
			} else {
				rest = "\nimport" + rest
			}
			files[m.file] = before + "\nimport \"" + module + "/internal/mutant\"\n" + rest
		}
		mutated := strings.Replace(files[m.file], m.was, m.inForce(i+1), 1)
		if mutated == files[m.file] {
			t.Errorf("%s: another mutant is in the way of %s", m.file, m.was)
		}
		files[m.file] = mutated
	}
	for path, text := range files {
		add(path, text)
	}
	add("internal/mutant/mutant.go", fmt.Sprintf(`package mutant
import "os"
var inForce = os.Getenv(%q)
func On(n string) bool { return inForce == n }
func Pick[T any](n string, was, is T) T {
	if On(n) { return is }
	return was
}
`, mutantVariable))
	replace, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	binaries := map[string]string{}
	for _, m := range mutants {
		if binaries[m.in] != "" {
			continue
		}
		binaries[m.in] = filepath.Join(dir, fmt.Sprint(len(binaries), ".test"))
		cmd := exec.Command("go", "test", "-vet=off", "-overlay", file, "-c", "-o", binaries[m.in], ".")
		cmd.Dir = filepath.Join(root, cmp.Or(m.in, "test/simulation"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	return binaries
}

// longestFirst is the mutants' places by the length of what they change: one may be part of another.
func longestFirst() (places []int) {
	for i := range mutants {
		places = append(places, i)
	}
	slices.SortStableFunc(places, func(i, j int) int { return cmp.Compare(len(mutants[j].was), len(mutants[i].was)) })
	return places
}

// inForce is the text that does as it did unless the mutant of that number is in force.
func (m *mutant) inForce(n int) string {
	if m.statement {
		return fmt.Sprintf("if mutant.On(\"%d\") { %s } else { %s\n}", n, m.is, m.was) // which may end with a comment
	}
	return fmt.Sprintf("mutant.Pick(\"%d\", %s, %s)", n, m.was, m.is)
}
