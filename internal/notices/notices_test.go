package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// current returns the notices as they should be.
var current = sync.OnceValues(func() (string, error) {
	return notices(context.Background(), "github.com/weirflow/weir/cmd/weir")
})

// TestCurrent wants the notices that go with the image to be those of what is linked.
func TestCurrent(t *testing.T) {
	want, err := current()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../THIRD_PARTY_NOTICES")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(got), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("THIRD_PARTY_NOTICES is not current, run make notices:\n%s", diff[:min(len(diff), 2000)])
	}
}

// TestKnownModules looks for modules under each kind of licence there is.
func TestKnownModules(t *testing.T) {
	text, err := current()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nGo\n", "\ngithub.com/hashicorp/memberlist v", "\nk8s.io/client-go v", "\ngithub.com/yuin/gopher-lua v",
		"Mozilla Public License", "Apache License", "Permission is hereby granted",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the notices lack %q", want)
		}
	}
	if strings.Contains(text, "github.com/google/go-cmp") {
		t.Error("the notices have a module that only tests use")
	}
}

func TestLicenceFiles(t *testing.T) {
	module := t.TempDir()
	part := filepath.Join(module, "third_party", "part")
	if err := os.MkdirAll(part, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "README.md", "NOTICE.txt", "license.go", "third_party/part/LICENCE-MIT", "third_party/COPYING", "third_party/NOTICED"} {
		if err := os.WriteFile(filepath.Join(module, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := licenceFiles(module, part)
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range got {
		got[i], _ = filepath.Rel(module, file)
	}
	if diff := cmp.Diff([]string{"third_party/part/LICENCE-MIT", "third_party/COPYING", "LICENSE", "NOTICE.txt"}, got); diff != "" {
		t.Error(diff)
	}
}
