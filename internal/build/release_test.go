package build_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// root is the repository's.
const root = "../.."

// release is what matters of .goreleaser.yaml here.
type release struct {
	Builds []struct {
		Main            string
		Ldflags, Goarch []string
	}
	Archives []struct{ Files []string }
	Dockers  []struct {
		Dockerfile string
		Platforms  []string
		ExtraFiles []string `yaml:"extra_files"`
	} `yaml:"dockers_v2"`
}

func readRelease(t *testing.T) (r release) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Builds) != 1 || len(r.Archives) != 1 || len(r.Dockers) != 1 {
		t.Fatalf("%d builds, %d archives, %d images; this test knows one of each", len(r.Builds), len(r.Archives), len(r.Dockers))
	}
	return r
}

// TestReleaseFiles wants what a release packs to be there, an image for every Linux that there
// is a binary for, and that image to be as the one that is built from the sources.
func TestReleaseFiles(t *testing.T) {
	r := readRelease(t)
	image := &r.Dockers[0]
	for _, file := range append(append(r.Archives[0].Files, image.ExtraFiles...), image.Dockerfile, r.Builds[0].Main) {
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Error(err)
		}
	}
	for _, arch := range r.Builds[0].Goarch {
		if platform := "linux/" + arch; !strings.Contains(fmt.Sprint(image.Platforms), platform) {
			t.Errorf("there is no image for %s", platform)
		}
	}
	last := func(name string) (lines []string) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		_, stage, found := strings.Cut(string(text), "FROM scratch\n")
		if !found {
			t.Fatalf("%s has no stage from scratch", name)
		}
		for line := range strings.Lines(stage) {
			if !strings.HasPrefix(line, "COPY") && !strings.HasPrefix(line, "ARG") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if got, want := fmt.Sprint(last(image.Dockerfile)), fmt.Sprint(last("Dockerfile")); got != want {
		t.Errorf("the image of a release differs from Dockerfile's:\n%s\nwant\n%s", got, want)
	}
}

// TestReleaseVersion links the binary as a release does, and wants it to know its version. The
// other flags would have all of it compiled anew.
func TestReleaseVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: builds the binary")
	}
	b := readRelease(t).Builds[0]
	binary := filepath.Join(t.TempDir(), "weir")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	ldflags := strings.ReplaceAll(strings.Join(b.Ldflags, " "), "{{ .Version }}", "9.8.7")
	cmd := exec.Command("go", "build", "-ldflags", ldflags, "-o", binary, b.Main)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "v9.8.7") {
		t.Errorf("it says of itself %q, %v; want v9.8.7", out, err)
	}
}
