// Package console looks at the admin address's console in a real browser.
package console

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/config"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/processes"
)

func TestMain(m *testing.M) { processes.Main(m) }

// hostile is the name of a tenant that would be markup, and end an attribute.
const hostile = `<b>x</b>"'><img/src=x/onerror=alert(1)>`

// settings are those of the replicas.
const settings = config.Empty + `weir:
  groups:
  - {name: labs, weight: 2, maximum: 2, guaranteed: 5%}
  - {name: product, weight: 3}
  flows:
  - {id: research, group: labs}
  - {id: support, group: product}
  - {id: interactive, priority: 10}
  - {id: acme, maxInFlight: 3, group: product}
`

// pools are the settings of a replica with two.
const pools = config.Empty + `weir:
  pools:
  - {name: llama, models: [llama], endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: qwen, models: [qwen], endpoints: [{url: "http://127.0.0.1:2"}]}
`

// answer tells the script that what it asked for is done.
func answer(t *testing.T, in io.Writer) {
	t.Helper()
	if _, err := io.WriteString(in, "done\n"); err != nil {
		t.Error(err)
	}
}

// chromium is the browser, by the names it goes by.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	needs.Tool(t, "chromium")
	return ""
}

// TestConsole looks at the console at each of three replicas under load: at all widths, in
// both themes, by keyboard, with a hostile tenant, with a token, and as one is killed.
// WEIR_SCREENSHOTS names a folder to write pictures to instead.
func TestConsole(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: it starts a browser, and installs an npm package")
	}
	browser := chromium(t)
	for _, tool := range []string{"node", "npm"} {
		needs.Tool(t, tool)
	}
	dir := t.TempDir()
	for _, file := range []string{"console.mjs", "package.json"} {
		data, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--silent")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		needs.Lacking(t, "npm's registry cannot be reached: %s", out)
	}

	shots := os.Getenv("WEIR_SCREENSHOTS")
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &processes.Cluster{T: t, Redis: redistest.Start(t), Servers: processes.StartServers(t, 2, processes.Limit/2)}
	for _, id := range []string{"replica-1", "replica-2", "replica-3"} {
		c.Add(id, "--config", file)
	}
	c.Wait("everybody knows everybody", processes.Patience, func() bool { return c.Agree(3) })
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte("a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	guarded := processes.Start(t, "guarded", c.Servers, "--max-concurrency", "1", "--admin-token-file", secret, "--ext-proc", "127.0.0.1:0", "--picker", "127.0.0.1:1")
	shadow := processes.Start(t, "shadow", c.Servers, "--max-concurrency", "1", "--shadow")
	both := filepath.Join(dir, "pools.yaml")
	if err := os.WriteFile(both, []byte(pools), 0o600); err != nil {
		t.Fatal(err)
	}
	several := processes.Start(t, "several", &processes.Servers{}, "--config", both)
	l, ctx := processes.StartLoad(t)
	for i, r := range c.Replicas {
		l.Tenant(ctx, "everywhere", 12, r)
		l.Tenant(ctx, []string{"research", "support", "acme"}[i], 14, r)
	}
	l.Tenant(ctx, "interactive", 2, c.Replicas[0])
	waiting := "everywhere" // whose requests are looked at
	if shots != "" {
		time.Sleep(2 * time.Minute) // so that there are lines to see
	} else {
		waiting = "slow"
		l.Tenant(ctx, waiting, 700, c.Replicas[2])
		l.Tenant(ctx, hostile, 2, c.Replicas[1])
	}

	given, err := json.Marshal(map[string]any{
		"chromium": browser, "replicas": []string{c.Replicas[0].Admin, c.Replicas[1].Admin, c.Replicas[2].Admin},
		"several": several.Admin, "shadow": shadow.Admin, "guarded": guarded.Admin, "token": "a secret", "hostile": hostile, "waiting": waiting, "shots": shots,
	})
	if err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), "node", "console.mjs", string(given))
	script.Dir = dir
	script.Stderr = os.Stderr
	in, err := script.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := script.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "kill "):
			for _, r := range c.Replicas {
				if r.ID == strings.TrimPrefix(line, "kill ") {
					r.Kill()
				}
			}
			answer(t, in)
		case line == "flood":
			l.Tenant(ctx, waiting, 200, c.Replicas[2])
			answer(t, in)
		case line == "break":
			if err := os.WriteFile(both, []byte(pools+"  nosuch: 1\n"), 0o600); err != nil {
				t.Error(err)
			}
			answer(t, in)
		case line == "done":
			done = true
		case strings.HasPrefix(line, "wrong: "):
			t.Error(strings.TrimPrefix(line, "wrong: "))
		default:
			t.Log(line)
		}
	}
	if err := script.Wait(); err != nil || !done {
		t.Errorf("the browser's script ended early: %v", err)
	}
}
