package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeyEntries refuses entries of keys that nobody could use, at their lines.
func TestKeyEntries(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for entry, want := range map[string]string{
		"{sha256: abc, flow: a}":                     "[0].sha256: must be the SHA-256 of the key",
		"{sha256: " + hash + "}":                     "[0].flow: is missing; give the flow that the key stands for",
		"{sha256: " + hash + `, flow: "a\nb"}`:       "[0].flow: must have up to 256 characters, none of which cannot be printed",
		"{sha256: " + hash + ", flow: a, weight: 0}": "[0].weight: must be above 0 and at most 1000000",
		"{sha256: " + hash + ", flow: a, user: x}":   "[0].user: no such field",
	} {
		_, problems := parseKeys("keys.yaml", []byte("- "+entry+"\n"))
		if len(problems) != 1 || !strings.HasPrefix(problems[0].String(), "keys.yaml:1: ") || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%s: %v, want %s", entry, problems, want)
		}
	}
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if _, entry := NewKey("a\nb"); AddKey(file, entry) == nil {
		t.Error("an entry was added that cannot be used")
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made of it")
	}
}
