// Package openai drives weir serve with the official OpenAI client for Node.js.
package openai

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/redistest"
	"github.com/weirflow/weir/test/engine"
)

func TestOfficialClient(t *testing.T) {
	ctx, dir, binary := prepare(t)
	one := start(ctx, t, binary, `at (http://\S+)`, "modelserver", "--listen", "127.0.0.1:0", "--step", "2ms")
	two := start(ctx, t, binary, `at (http://\S+)`, "modelserver", "--listen", "127.0.0.1:0", "--step", "2ms")
	gateway := serve(ctx, t, binary, "--upstream", one, "--upstream", two)
	if out := command(ctx, t, dir, "node", "client.mjs", gateway); strings.TrimSpace(out) != "ok" {
		t.Errorf("the client printed %s", out)
	}
}

// TestOfficialClientOfEngines has two replicas in front of two real engines, which run no more
// at once than the limit lets through.
func TestOfficialClientOfEngines(t *testing.T) {
	all, servers := engine.Start(t, 2)
	redis := redistest.Start(t)
	ctx, dir, binary := prepare(t)
	args := []string{"--redis", redis.URL(), "--upstream", servers[0].URL, "--upstream", servers[1].URL}
	if out := command(ctx, t, dir, "node", "engine.mjs", serve(ctx, t, binary, args...), serve(ctx, t, binary, args...)); strings.TrimSpace(out) != "ok" {
		t.Errorf("the client printed %s", out)
	}
	if peak := all.Peak.Load(); peak != 2*engine.Slots {
		t.Errorf("%d requests at the engines at most, want the limit, %d", peak, 2*engine.Slots)
	}
}

// prepare returns a folder where Node.js finds the scripts and the client, and the weir command.
func prepare(t *testing.T) (ctx context.Context, dir, binary string) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		needs.Tool(t, tool)
	}
	if testing.Short() {
		t.Skip("skipped: installs an npm package")
	}
	dir = t.TempDir()
	for _, file := range []string{"client.mjs", "engine.mjs", "package.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	install(ctx, t, dir)
	binary = filepath.Join(dir, "weir")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	command(ctx, t, here, "go", "build", "-o", binary, "github.com/weirflow/weir/cmd/weir")
	return ctx, dir, binary
}

// serve starts a replica with a limit of four requests for each server, and returns its URL.
func serve(ctx context.Context, t *testing.T, binary string, args ...string) string {
	t.Helper()
	return "http://" + start(ctx, t, binary, `"listen":"([^"]+)"`, append([]string{
		"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json",
		"--fairness", "round-robin-fairness-policy", "--max-concurrency", "4",
	}, args...)...)
}

// install installs the client in a directory. It comes from npm's registry, or from
// npm's cache.
func install(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	c := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline",
		"--fetch-retry-mintimeout", "1000", "--fetch-retry-maxtimeout", "3000")
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err == nil {
		return
	}
	if why := unreachable.Find(out); why != nil {
		needs.Lacking(t, "npm's registry cannot be reached: %s", why)
	}
	t.Fatalf("npm install: %v\n%s", err, out)
}

// unreachable is how npm says that it has no network.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|ENOTCACHED)\b`)

func command(ctx context.Context, t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs the binary until the test ends and returns what the pattern's group
// matches in its output.
func start(ctx context.Context, t *testing.T, binary, pattern string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(ctx, binary, args...)
	r, w := io.Pipe()
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.Process.Signal(syscall.SIGTERM) != nil { // as on Windows
			_ = c.Process.Kill()
		}
		_ = c.Wait()
		_ = w.Close()
	})
	found := make(chan string, 1)
	go func() {
		lines, re := bufio.NewScanner(r), regexp.MustCompile(pattern)
		for lines.Scan() {
			if m := re.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
	}()
	select {
	case address := <-found:
		return address
	case <-time.After(20 * time.Second):
		t.Fatalf("weir %s did not say where it listens", strings.Join(args, " "))
		return ""
	}
}
