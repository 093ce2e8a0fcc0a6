package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirflow/weir/policies/builtin"
)

// TestKeys makes keys, and wants them to be known until they are revoked; comments stay,
// and the file has no key.
func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	weir := func(input string, args ...string) (string, int) {
		t.Helper()
		var out, log bytes.Buffer
		root := newRoot(builtin.Registry())
		root.SetArgs(append([]string{"keys"}, append(args, "--file", file)...))
		root.SetIn(strings.NewReader(input))
		root.SetOut(&out)
		root.SetErr(&log)
		err := root.ExecuteContext(t.Context())
		if err == nil {
			return strings.TrimSpace(out.String()), 0
		}
		return err.Error(), exitCode(err)
	}
	a, code := weir("", "new", "--flow", "team-a")
	if code != 0 || !strings.HasPrefix(a, "weir-") {
		t.Fatalf("%d: %s", code, a)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), a) {
		t.Fatalf("the file has the key: %s, %v", text, err)
	}
	if err := os.WriteFile(file, append([]byte("# ours\n\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := weir("", "new", "--flow", "team-b", "--weight", "2", "--max-priority", "5")
	for key, flow := range map[string]string{a: "team-a", b: "team-b"} {
		if said, code := weir(key+"\n", "check"); code != 0 || !strings.HasSuffix(said, flow) {
			t.Errorf("the key of %s: %d, %s", flow, code, said)
		}
	}
	listed, _ := weir("", "list")
	lines := strings.Split(listed, "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[2], "team-b") {
		t.Fatalf("the list: %s", listed)
	}
	hash, _, _ := strings.Cut(lines[1], " ")
	if said, code := weir("", "revoke", hash); code != 0 {
		t.Errorf("revoked: %d, %s", code, said)
	}
	if said, code := weir(a, "check"); code != exitNotFound {
		t.Errorf("the revoked key: %d, %s", code, said)
	}
	if said, code := weir(b, "check"); code != 0 {
		t.Errorf("the other key: %d, %s", code, said)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "# ours\n") || !strings.Contains(string(text), "maxPriority: 5") {
		t.Errorf("the file afterwards: %s, %v", text, err)
	}
	for _, wrong := range [][]string{{"new"}, {"new", "--flow", "x", "--weight", "-1"}, {"revoke", "12"}, {"check"}} {
		if said, code := weir("", wrong...); code != 1 {
			t.Errorf("weir keys %s: %d, %s", strings.Join(wrong, " "), code, said)
		}
	}
	if said, code := weir("", "revoke", "000000"); code != exitNotFound {
		t.Errorf("a key that there is not: %d, %s", code, said)
	}
}
