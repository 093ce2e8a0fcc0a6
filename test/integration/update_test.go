package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// updateVariable names a commit that TestRollingUpdate updates from.
const updateVariable = "WEIR_UPDATE_FROM"

// TestRollingUpdate replaces three replicas of another version by this one and takes them
// back again, one after the other, under load and on one Redis, in which the two keep their
// ledgers in different formats. The limit is kept, no client that retries refused
// connections sees a failure, and the fleet never stops. The other version is this one but
// for the format's name, or what a commit was.
func TestRollingUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: takes 40 s")
	}
	t.Parallel() // it mostly waits
	other := os.Getenv(updateVariable)
	u := &update{Cluster: processes.NewCluster(t), versions: map[string]string{"new": processes.Binary()}}
	if other == "" {
		u.versions["old"] = buildWithFormat(t, "0123abcd")
	} else {
		u.versions["old"] = buildAt(t, other)
	}
	for n := range 3 {
		u.start(n, "old")
	}
	u.load = startRetrying(t, u.Replicas, false)
	undisturbed := u.phase("three old ones", 0)
	least := undisturbed / 6
	if other != "" {
		least = 0 // it is what it was
	}
	for _, to := range []string{"new", "old"} {
		for n := range 3 {
			began := time.Now()
			u.Stop(u.Replicas[n])
			u.start(n, to)
			u.load.at[n].Store(u.Replicas[n])
			what := fmt.Sprintf("%d of three are %s, after %.1f s", n+1, to, time.Since(began).Seconds())
			// A replica that has just started has its share after a second or two.
			if rate := u.phase(what, least); rate < least {
				t.Errorf("%s: %.0f requests/s, undisturbed it is %.0f", what, rate, undisturbed)
			}
		}
		u.phase("all three are "+to, 0)
	}
	u.load.Stop()
	u.load.Clients.Wait()
	if failed := u.load.failed.Load(); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
}

// update is a fleet of two versions.
type update struct {
	*processes.Cluster
	versions map[string]string // by name, the path of the command
	load     *retrying
}

// start has replica n run a version, and waits until it serves.
func (u *update) start(n int, version string) {
	u.T.Helper()
	others := make([]*processes.Replica, 0, 2)
	for i, r := range u.Replicas {
		if i != n {
			others = append(others, r)
		}
	}
	args := u.Arguments(others...)
	r := processes.StartBy(u.T, exec.Command(u.versions[version]), "127.0.0.1", fmt.Sprint("r", n+1), u.Servers, args...)
	if n < len(u.Replicas) {
		u.Replicas[n] = r
	} else {
		u.Replicas = append(u.Replicas, r)
	}
	processes.Answers(u.T, r.Admin+"/readyz")
}

// phase returns how many requests a second are served in the next 2 s, and wants the limit
// to have been kept since the phase before. If they are fewer than the least, it looks twice
// again: others may have taken the machine meanwhile.
func (u *update) phase(what string, least float64) (rate float64) {
	u.T.Helper()
	const lasts = 2 * time.Second
	for range 3 {
		before := u.load.served.Load()
		time.Sleep(lasts)
		rate = float64(u.load.served.Load()-before) / lasts.Seconds()
		u.T.Logf("%s: %.0f requests/s, at most %d of %d in flight", what, rate, u.Servers.Peak.Load(), processes.Limit)
		u.WithinLimit(what)
		if rate >= least {
			break
		}
	}
	return rate
}

// buildWithFormat builds this version with another name of the ledger's format.
func buildWithFormat(t *testing.T, format string) string {
	t.Helper()
	const constant = "../../store/redis/wire.go"
	source, err := os.ReadFile(constant)
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`const ledgerFormat = "[0-9a-f]{8}"`)
	if !declaration.Match(source) {
		t.Fatalf("%s does not declare the format", constant)
	}
	original, err := filepath.Abs(constant)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed, overlay, binary := filepath.Join(dir, "wire.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "weir")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	source = declaration.ReplaceAll(source, []byte(fmt.Sprintf("const ledgerFormat = %q", format)))
	for path, text := range map[string][]byte{changed: source, overlay: replace} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "", "go", "build", "-overlay", overlay, "-o", binary, "github.com/weirflow/weir/cmd/weir")
	return binary
}

// buildAt builds the weir command of a commit.
func buildAt(t *testing.T, commit string) string {
	t.Helper()
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "weir")
	command(t, "", "git", "worktree", "add", "--detach", "--quiet", tree, commit)
	t.Cleanup(func() { command(t, "", "git", "worktree", "remove", "--force", tree) })
	command(t, tree, "go", "build", "-o", binary, "./cmd/weir")
	return binary
}

// command runs a command in a folder, and wants it to succeed.
func command(t *testing.T, in, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
