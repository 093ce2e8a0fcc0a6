package processes

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// transcript is what a process has logged. It is kept until the test ends, when a failed one
// tells the end of it: all of it would hide what failed.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// String returns all of it.
func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// What is told of a process in a failed test.
const (
	lastLines = 30
	lineWidth = 240
)

// tell logs the last lines, once the process has ended. With go test -artifacts it keeps all of
// them in a file, which it names.
func (w *transcript) tell(t *testing.T, id string, pid int) {
	t.Helper()
	whole := w.String()
	kept := "go test -artifacts keeps all of it"
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		kept = filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.log", id, pid))
		if err := os.WriteFile(kept, []byte(whole), 0o600); err != nil {
			kept = err.Error()
		}
	}
	lines := strings.Split(strings.TrimRight(whole, "\n"), "\n")
	from := max(0, len(lines)-lastLines)
	var told strings.Builder
	for _, line := range lines[from:] {
		told.WriteString("\n  " + line[:min(len(line), lineWidth)])
	}
	t.Logf("%s logged %d lines, the last of them (%s):%s", id, len(lines), kept, &told)
}
