package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestExitCodes wants scripts to tell from the code whether to ask again, or for something else.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		code   int
		says   string
	}{
		{http.StatusNotFound, exitNotFound, `no request "x" waits or is in flight, and nothing of a flow "x" waits`},
		{http.StatusGatewayTimeout, exitUnreachable, "the replica cannot answer: it is so"},
		{http.StatusServiceUnavailable, exitUnreachable, "the replica cannot answer: it is so"},
		{http.StatusBadRequest, 1, "the replica refuses with status 400: it is so"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.status == http.StatusNotFound && r.URL.Path == "/v1/requests" { // no such request, and none of such a flow
				fmt.Fprint(w, `{"requests": []}`)
				return
			}
			w.WriteHeader(c.status)
			fmt.Fprint(w, `{"error": "it is so"}`)
		}))
		_, err := run(t, 10*time.Second, "why", "x", "--admin", server.URL)
		server.Close()
		if err == nil || err.Error() != c.says || exitCode(err) != c.code {
			t.Errorf("status %d: code %d, %v", c.status, exitCode(err), err)
		}
	}
	silent := httptest.NewServer(http.NotFoundHandler())
	silent.Close()
	_, err := run(t, 10*time.Second, "status", "--admin", silent.URL)
	if exitCode(err) != exitUnreachable || !strings.Contains(err.Error(), "no replica answers at the admin address "+silent.URL) || errors.Unwrap(err) == nil {
		t.Errorf("code %d: %v", exitCode(err), err)
	}
}
