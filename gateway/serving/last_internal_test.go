package serving

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// TestLastAnswerSaysSo has the end come after an answer before the answer, such as early hints, and
// before it: the answer proper says that its connection closes, and nothing before it does.
func TestLastAnswerSaysSo(t *testing.T) {
	for what, late := range map[string]bool{"before the hints": false, "after the hints": true} {
		t.Run(what, func(t *testing.T) {
			var ending atomic.Bool
			ending.Store(!late)
			to := httptest.NewRecorder()
			w := &lastWriter{ResponseWriter: to, ending: &ending}
			w.WriteHeader(http.StatusEarlyHints)
			if said := w.Header().Get("Connection"); said != "" {
				t.Errorf("the hints say Connection: %s", said)
			}
			clear(w.Header()) // as a reverse proxy does
			ending.Store(true)
			w.WriteHeader(http.StatusOK)
			if said := w.Header().Get("Connection"); said != "close" {
				t.Errorf("the answer says Connection: %q", said)
			}
		})
	}
}
