//go:build unix

package integration

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirflow/weir/test/processes"
)

// TestHangupsFromTheBeginning sends SIGHUP each millisecond from when the first of Weir's packages is
// initialized: a replica is to serve all the same, and what does not read its configuration again is ended.
func TestHangupsFromTheBeginning(t *testing.T) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // else who started the tests so that it is ignored has it ignored by what they start
	defer signal.Stop(hangups)
	serve := []string{"serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	for _, c := range []struct {
		name string
		args []string
		ends bool
	}{
		{"serve", serve, false},
		{"modelserver", []string{"modelserver", "--listen", "127.0.0.1:0"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), processes.Binary(), c.args...)
			cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1") // says what is initialized
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			begun, served := make(chan struct{}), make(chan struct{})
			go func() { // ends with the process
				defer close(served)
				first, said := true, bufio.NewScanner(stderr)
				for said.Scan() {
					if first && strings.Contains(said.Text(), "init github.com/weirflow/weir/") {
						first = false
						close(begun)
					}
					if !c.ends && strings.Contains(said.Text(), "serving") {
						served <- struct{}{}
					}
				}
			}()
			late := time.After(20 * time.Second)
			select {
			case <-begun:
			case <-late:
				t.Fatal("no package of Weir's is initialized")
			}
			every, ended := time.NewTicker(time.Millisecond), false
			defer every.Stop()
			for waits := true; waits; {
				select {
				case <-every.C:
					_ = cmd.Process.Signal(syscall.SIGHUP) // it may have ended
				case _, ok := <-served:
					ended, waits = !ok, false
				case <-late:
					t.Fatal("it neither serves nor ends")
				}
			}
			if ended != c.ends {
				t.Errorf("it was ended: %v, want %v", ended, c.ends)
			}
			_ = cmd.Process.Kill() // it may have ended
			for range served {     // to the end of what it says
			}
			_ = cmd.Wait()
		})
	}
}
