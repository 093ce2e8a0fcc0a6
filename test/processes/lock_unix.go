//go:build unix

package processes

import (
	"os"
	"path/filepath"
	"syscall"
)

// lock waits until no other package's tests run fleets on this machine: they measure
// time, and go test runs packages side by side. It is held until the file is closed.
func lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "weir-processes.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}
