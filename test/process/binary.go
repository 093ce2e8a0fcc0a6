package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BinaryVariable names a weir command to run instead of one built for the test.
const BinaryVariable = "WEIR_BINARY"

// binary is the command that Start runs; Main sets it.
var binary string

// Main builds the command, runs a package's tests and returns their exit code. It is
// for TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(process.Main(m)) }
func Main(m *testing.M) int {
	if binary = os.Getenv(BinaryVariable); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "weir-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is a temporary directory
	binary = filepath.Join(dir, "weir")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/weirflow/weir/cmd/weir").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Command is the weir command with arguments, to be run by the caller.
func Command(args ...string) *exec.Cmd { return exec.Command(binary, args...) }
