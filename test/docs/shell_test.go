//go:build unix

package docs

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
)

// port is one that a page's commands listen on, or ask.
var port = regexp.MustCompile(`\b(6379|79\d\d|80\d\d|90\d\d)\b`)

// freePorts replaces every port by one that nobody listens on here.
func freePorts(t *testing.T, script string) string {
	t.Helper()
	free, taken := make(map[string]string), make(map[string]bool)
	return port.ReplaceAllStringFunc(script, func(p string) string {
		for free[p] == "" {
			_, at, err := net.SplitHostPort(freeport.Address(t))
			if err != nil {
				t.Fatal(err)
			}
			if !taken[at] {
				free[p], taken[at] = at, true
			}
		}
		return free[p]
	})
}

// patience is how long a page's commands may take: one that waits for what does not come would
// wait for ever.
const patience = 5 * time.Minute

// withAddresses has a replica that is started without flags for its addresses told those that are
// the defaults, so that they can be replaced.
func withAddresses(script string) string {
	if strings.Contains(script, "--listen 127.0.0.1:8080") {
		return script
	}
	return strings.ReplaceAll(script, "weir serve ", "weir serve --listen 127.0.0.1:8080 --admin 127.0.0.1:9090 ")
}

// typedPages are the pages whose blocks of shell a test types, and what these are to print.
var typedPages = map[string][]string{
	"README.md":               {`"object":"chat.completion"`},
	"docs/getting-started.md": {"team-a 200", "trial 429", "nobody 401"},
}

// TestGettingStarted types every block of the page into a shell, in their order, and wants
// each command to succeed.
func TestGettingStarted(t *testing.T) { typeBlocks(t, "docs/getting-started.md", 8) }

// TestFirstCommands does so with those of the first page.
func TestFirstCommands(t *testing.T) { typeBlocks(t, "README.md", 1) }

// typeBlocks types a page's blocks, of which there are so many at least.
func typeBlocks(t *testing.T, name string, least int) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: it runs a fleet")
	}
	for _, tool := range []string{"bash", "curl", "redis-server"} {
		needs.Tool(t, tool)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\n")
	typed := 0
	for _, block := range pageAt(t, name).Blocks {
		if block.Language == "sh" && block.Note == "" {
			typed++
			fmt.Fprintf(&script, "echo '== block %d'\n%s", typed, block.Body)
		}
	}
	if typed < least {
		t.Errorf("only %d blocks were found: the pattern is broken", typed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", freePorts(t, withAddresses(script.String())))
	shell.Dir = root
	shell.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with all that it starts
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	shell.WaitDelay = 10 * time.Second
	if err := shell.Run(); err != nil {
		t.Errorf("%v, after:\n%s", err, out.String())
	}
	_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // what it left
	for _, want := range typedPages[name] {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the page's commands did not print %q:\n%s", want, out.String())
		}
	}
}

// aCommand is a line to type, with the variables that are set for it.
var aCommand = regexp.MustCompile(`(?m)^ *(\$ )?([A-Z_]+=\S* )*(weir|\S*bin/\S+|go|make|curl|docker|kubectl|helm|git|redis-server|redis-cli) `)

// TestCommandsAreTyped wants every block with commands to be one of shell, and either to be typed by
// a test or to say why not.
func TestCommandsAreTyped(t *testing.T) {
	typed, said := 0, 0
	for _, p := range pages(t) {
		for _, block := range p.Blocks {
			reason, untyped := strings.CutPrefix(block.Note, "not run: ")
			switch {
			case block.Language != "sh":
				if line := aCommand.FindString(block.Body); block.Language == "" && line != "" {
					t.Errorf("%s has a block with the command %q: call it ```sh, and have a test run it, or ```sh not run: WHY", p.Path, strings.TrimSpace(line))
				}
			case untyped && len(strings.Fields(reason)) >= 2:
				said++
			case block.Note != "":
				t.Errorf("%s: a block of shell is called %q, which is not \"not run: WHY\"", p.Path, block.Note)
			case typedPages[p.Path] == nil:
				t.Errorf("%s has a block of shell, and no test types those of that page", p.Path)
			default:
				typed++
			}
		}
	}
	if typed < 10 || said < 5 {
		t.Errorf("only %d blocks that are typed and %d that are not were found: the pattern is broken", typed, said)
	}
}
