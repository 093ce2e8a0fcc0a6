package gateway

import (
	"net/url"
	"path"
	"strings"

	"github.com/weirflow/weir/gateway/refusal"
)

// CheckPath refuses a path that a server could read as another one than it says: with
// segments of dots, empty ones, backslashes, or characters that are escaped twice.
func CheckPath(escaped string) *refusal.Refusal {
	plain, err := url.PathUnescape(escaped)
	clean := path.Clean(plain)
	if strings.HasSuffix(plain, "/") && clean != "/" {
		clean += "/"
	}
	if err == nil && plain == clean && !strings.ContainsAny(plain, `\%`) && !strings.Contains(plain, "/..;") && !strings.Contains(plain, "/.;") {
		return nil
	}
	return refusal.BadRequest("bad_path", "the path must be written plainly: without . and .. and empty segments, backslashes and characters that are escaped twice")
}
