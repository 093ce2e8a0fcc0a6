package gateway

import (
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weirflow/weir/gateway/refusal"
)

// ReadPath undoes the escapes of a path, as model servers do, and refuses one that a server
// could read as another one than it says: with segments of dots, empty ones, backslashes,
// characters that are escaped twice, or what is no text.
func ReadPath(escaped string) (string, *refusal.Refusal) {
	plain, err := url.PathUnescape(escaped)
	clean := path.Clean(plain)
	if strings.HasSuffix(plain, "/") && clean != "/" {
		clean += "/"
	}
	switch {
	case err != nil, plain != clean, !utf8.ValidString(plain), strings.ContainsFunc(plain, unicode.IsControl),
		strings.ContainsAny(plain, `\%`), strings.Contains(plain, "/..;"), strings.Contains(plain, "/.;"):
		return "", refusal.BadRequest("bad_path", "the path must be written plainly: without . and .. and empty segments, backslashes, control characters and characters that are escaped twice")
	}
	return plain, nil
}
