package integration

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/weirflow/weir/internal/needs"
	"github.com/weirflow/weir/test/processes"
)

// innerVariable is set in the copy of the test that has a network of its own.
const innerVariable = "WEIR_INNER"

// hub is the test's own address on the bridge between the namespaces.
const hub = "10.77.0.1"

// isolated runs the test again, in a network namespace of its own, and reports
// whether this is that run. What it takes is missing on some machines, where the
// test is skipped.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(innerVariable) != "" {
		run(t, "ip", "link", "set", "lo", "up")
		run(t, "ip", "link", "add", "hub", "type", "bridge")
		run(t, "ip", "address", "add", hub+"/24", "dev", "hub")
		run(t, "ip", "link", "set", "hub", "up")
		return true
	}
	if err := permitted(); err != nil {
		if errors.Is(err, exec.ErrNotFound) { // tools can be installed, leave cannot
			needs.Lacking(t, "no network namespaces: %v", err)
		}
		t.Skipf("skipped: no network namespaces: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), innerVariable+"=1", processes.BinaryVariable+"="+processes.Binary())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in its own network: %v", err)
	}
	return false
}

// permitted tries what the tests need.
func permitted() error {
	for _, tool := range []string{"ip", "iptables", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return err
		}
	}
	cmd := exec.Command("sh", "-c", "ip link add hub type bridge && ip link add left type veth peer name right && iptables -A INPUT -p udp -j DROP")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(fmt.Sprint(err, " ", string(out))))
	}
	return nil
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// namespace is a network namespace with one interface on the hub. It lives as
// long as the process that holds it.
type namespace struct {
	t       *testing.T
	address string
	pid     string
}

func newNamespace(t *testing.T, n int) *namespace {
	t.Helper()
	holder := exec.Command("sh", "-c", "read end")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = io.WriteString(in, "\n")
		_ = holder.Wait()
	})
	ns := &namespace{t: t, address: fmt.Sprint("10.77.0.", 10+n), pid: fmt.Sprint(holder.Process.Pid)}
	link := fmt.Sprint("r", n)
	run(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", ns.pid)
	run(t, "ip", "link", "set", link, "master", "hub", "up")
	ns.run("ip", "link", "set", "lo", "up")
	ns.run("ip", "address", "add", ns.address+"/24", "dev", "eth0")
	ns.run("ip", "link", "set", "eth0", "up")
	return ns
}

// command is one that runs in the namespace.
func (ns *namespace) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", ns.pid, "--net", "--", name}, args...)...)
}

func (ns *namespace) run(name string, args ...string) {
	ns.t.Helper()
	cmd := ns.command(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		ns.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// drop drops what passes a chain and has one of the matches.
func (ns *namespace) drop(chain, matches string) {
	ns.t.Helper()
	for match := range strings.SplitSeq(matches, "|") {
		ns.run("iptables", append([]string{"-A", chain, "-j", "DROP"}, strings.Fields(match)...)...)
	}
}

// heal undoes all cuts.
func (ns *namespace) heal() {
	ns.t.Helper()
	ns.run("iptables", "-F")
}
