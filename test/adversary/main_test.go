package adversary

import (
	"net"
	"os"
	"testing"

	"github.com/weirflow/weir/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m)) }

// slow skips a test that takes long, unless they were asked for.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("WEIR_ADVERSARY") == "" {
		t.Skip("skipped: it takes long; make adversary runs it")
	}
}

// freeAddress is an address on loopback that nobody listened at just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only held the port
	return l.Addr().String()
}
