// Package redistest starts real Redis servers for tests.
package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/internal/freeport"
	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/internal/pause"
)

// Server is a redis-server process on loopback, without persistence.
type Server struct {
	Address string
	bus     string // the port for its cluster
	tb      testing.TB
	file    string // its configuration, or empty
	args    []string
	process *exec.Cmd
}

// Start starts a server that is stopped when the test ends. Where there is no
// redis-server the test is skipped, or fails if WEIR_REQUIRE_ALL is set.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, "", args)
}

func start(tb testing.TB, file string, args []string) *Server {
	tb.Helper()
	needs.Tool(tb, "redis-server")
	s := &Server{Address: freeport.Address(tb), tb: tb, file: file, args: args}
	s.Run()
	tb.Cleanup(s.Kill)
	return s
}

// URL is where the server is.
func (s *Server) URL() string { return "redis://" + s.Address }

func (s *Server) port() string {
	_, port, _ := strings.Cut(s.Address, ":")
	return port
}

// Run starts the process; it must not be running.
func (s *Server) Run() {
	s.tb.Helper()
	var args []string
	if s.file != "" {
		args = append(args, s.file)
	}
	args = append(args, "--port", s.port(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "local",
		"--dir", s.tb.TempDir(), "--loglevel", "warning")
	s.process = exec.Command("redis-server", append(args, s.args...)...)
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		s.tb.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(until) {
			s.tb.Fatal(fmt.Errorf("redis-server does not answer: %w", err))
		}
	}
}

// Kill ends the process at once, with all it held.
func (s *Server) Kill() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// PID is the process that runs.
func (s *Server) PID() int { return s.process.Process.Pid }

// Stop stops the process for a while: it holds its connections and does not answer.
func (s *Server) Stop() {
	s.tb.Helper()
	pause.Stop(s.tb, s.process.Process)
}

// Continue lets the stopped process go on.
func (s *Server) Continue() {
	s.tb.Helper()
	pause.Continue(s.tb, s.process.Process)
}
