// Package watch finds out when files have changed. It reads them each time: the content of a
// mounted ConfigMap or Secret may be replaced without a change of the file's own times.
package watch

import (
	"context"
	"crypto/sha256"
	"os"
	"time"
)

// Files are files to look at.
type Files struct {
	seen map[string][sha256.Size]byte
}

// New remembers what is in the files now.
func New(names []string) *Files {
	f := &Files{}
	f.Look(names)
	return f
}

// Look remembers what is in the files now, and reports whether it differs in one that
// was looked at before. One that cannot be read may be gone for a moment only, and
// counts as it was.
func (f *Files) Look(names []string) (changed bool) {
	now := make(map[string][sha256.Size]byte, len(names))
	for _, name := range names {
		before, known := f.seen[name]
		data, err := os.ReadFile(name)
		if err != nil {
			if known {
				now[name] = before
			}
			continue
		}
		now[name] = sha256.Sum256(data)
		changed = changed || known && now[name] != before
	}
	f.seen = now
	return changed
}

// Run looks at the files that names returns at each interval, until ctx ends, and calls
// changed when they have changed, and whenever now receives.
func Run[T any](ctx context.Context, f *Files, every time.Duration, names func() []string, now <-chan T, changed func()) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-now:
			f.Look(names())
		case <-ticker.C:
			if !f.Look(names()) {
				continue
			}
		}
		changed()
	}
}
