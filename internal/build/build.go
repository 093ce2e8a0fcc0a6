// Package build says which build of Weir a program is.
package build

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// module is Weir's, which is the main module of its own binary and a dependency of a
// program with plug-ins of its own.
const module = "github.com/weirflow/weir"

// version may be set by the linker, for a build from sources without their history:
//
//	go build -ldflags "-X github.com/weirflow/weir/internal/build.version=v1.2.3" ./cmd/weir
var version string

// Info is what is known of a build. What is not known is empty.
type Info struct {
	// Version is Weir's: a release such as v1.2.3, or one that Go makes of time and
	// revision; "devel" if unknown.
	Version string `json:"version"`
	// Program is the main module, where it is not Weir itself.
	Program string `json:"program,omitempty"`
	// Revision is the commit, Time when it was made, and Modified whether files differed
	// from it.
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	// Go is the compiler's version, Platform the system and the processor.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Read returns what the running program's build is.
func Read() Info {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		b = &debug.BuildInfo{}
	}
	return of(b)
}

func of(b *debug.BuildInfo) Info {
	i := Info{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	main := &b.Main
	if b.Main.Path != module {
		i.Program = b.Main.Path
		for _, d := range b.Deps {
			if d.Path == module {
				main = d
			}
		}
	} else {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				i.Revision = s.Value
			case "vcs.time":
				i.Time = s.Value
			case "vcs.modified":
				i.Modified = s.Value == "true"
			}
		}
	}
	if main.Version != "(devel)" {
		i.Version = cmp.Or(i.Version, main.Version)
	}
	i.Version = cmp.Or(i.Version, "devel")
	return i
}
