package replica

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/weirflow/weir/gateway/admin"
)

// guarded lets requests pass that carry the token that the file holds at the time, and
// those of probes and of a browser that loads the console's files, which carry none. While
// the file holds none, nobody else passes.
func guarded(tokenFile string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || admin.IsConsole(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		data, err := os.ReadFile(tokenFile)
		token := strings.TrimSpace(string(data))
		if err != nil || token == "" {
			http.Error(w, "the file with the token cannot be read, or is empty", http.StatusServiceUnavailable)
			return
		}
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") || !same(strings.TrimSpace(given), token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this address takes a token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// namedLocally serves, at a loopback address that asks for no token, who names it as one: a page
// in a browser of this machine could give its own name that address, and read what is there.
func namedLocally(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && at.IP.IsLoopback() && !localName(r.Host) {
			http.Error(w, fmt.Sprintf("without a token this address is served as localhost or by its number, and not as %q: set weir.adminTokenFile (--admin-token-file)", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// localName reports whether a request's Host is a number, or a name that only this machine has.
func localName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	return host == "" || net.ParseIP(host) != nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// same compares without telling by its time where, or how long, the two are.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
