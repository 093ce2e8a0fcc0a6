// Package terminal looks at what commands draw on a terminal of 80 columns and 24 rows.
package terminal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/test/processes"
)

func TestMain(m *testing.M) { processes.Main(m) }

const columns, rows = 80, 24

// terminal is one that runs a command, and then says how it ended.
type terminal struct {
	t      *testing.T
	socket string
}

// open starts a command of weir in a terminal.
func open(t *testing.T, command string) *terminal {
	t.Helper()
	term := &terminal{t: t, socket: filepath.Join(t.TempDir(), "tmux")}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() }) // that of this test alone
	term.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "-s", "weir",
		"TERM=screen "+processes.Binary()+" "+command+"; echo ended with $?; sleep 300")
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-S", term.socket}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// press presses keys, by tmux's names of them.
func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys", "-t", "weir"}, keys...)...)
}

// screen is what is on the terminal.
func (term *terminal) screen() string { return term.tmux("capture-pane", "-p", "-t", "weir") }

// all is what is on the terminal and what has scrolled off it.
func (term *terminal) all() string { return term.tmux("capture-pane", "-p", "-S", "-", "-t", "weir") }

// shows waits until the terminal shows texts at once, and returns the screen.
func (term *terminal) shows(texts ...string) string {
	term.t.Helper()
	missing := ""
	for began := time.Now(); time.Since(began) < processes.Patience; time.Sleep(50 * time.Millisecond) {
		screen := term.screen()
		missing = ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return screen
		}
	}
	term.t.Fatalf("the terminal does not show %q:\n%s", missing, term.all())
	return ""
}

// settings have priorities, groups and limits, so that there is more to show than has room.
const settings = config.Empty + `weir:
  bands: [{priority: -10, guaranteed: 20%}]
  groups: [{name: labs, weight: 2, guaranteed: 10%}, {name: product, weight: 3, maximum: 50%}]
  flows:
  - {id: research, group: labs}
  - {id: support, group: product}
  - {id: acme, maxInFlight: 1}
`

// TestTop wants weir top to show on a small terminal who waits and what is wrong, the rest by keys,
// and to leave the terminal as it was.
func TestTop(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it starts a fleet")
	}
	needs.Tool(t, "tmux")
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c := processes.NewCluster(t)
	for _, id := range []string{"replica-1", "replica-2", "replica-3"} {
		c.Add(id, "--config", file)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	l, ctx := processes.StartLoad(t)
	for i, tenant := range []string{"research", "support", "acme"} {
		l.Tenant(ctx, tenant, 20, c.Replicas[i%2]) // none at the one that is killed
	}

	term := open(t, "top --every 200ms --admin "+c.Replicas[0].Admin)
	screen := term.shows("Pool default:", "Ledger connected, 3 replicas", "PRIORITY", "FLOW ", "acme", "research", "lines 1 to 23 of", "q ends")
	for line := range strings.Lines(screen) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > columns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	term.press("G")
	term.shows("REPLICA", "replica-1", "replica-2", "replica-3")
	term.press("PageUp", "PageUp", "PageUp")
	term.shows("Pool default:", "lines 1 to 23 of")
	for seen := 0; seen < 100 && !strings.Contains(term.screen(), "BELOW GUARANTEE"); seen++ {
		term.press("Down")
		time.Sleep(50 * time.Millisecond)
	}
	term.shows("BELOW GUARANTEE")
	term.press("g")
	c.Replicas[2].Kill()
	term.shows("Pool default:", "Trouble:", "replica-3")
	term.press("q")
	if screen := term.shows("ended with 0"); strings.Contains(screen, "Pool default:") {
		t.Errorf("the terminal is not as it was:\n%s", screen)
	}
}

// TestDemo wants a demo that is interrupted to tell what it measured so far, and to leave nothing on
// the terminal of what it drew before.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it takes seconds")
	}
	needs.Tool(t, "tmux")
	term := open(t, "demo --chaos --admin 127.0.0.1:0")
	term.shows("one shared ledger, ", "what happened")
	term.press("C-c")
	term.shows("ended with 130")
	all := term.all()
	for _, once := range []string{"Interrupted; what was measured so far:", "one shared ledger, ", "what happened", "Jain index: how even"} {
		if n := strings.Count(all, once); n != 1 {
			t.Errorf("%q is there %d times:\n%s", once, n, all)
		}
	}
}
