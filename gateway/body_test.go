package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestWithModel puts another model into bodies, which are the same else.
func TestWithModel(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","prompt":"model"}`:                          `{"model":"b\"c","prompt":"model"}`,
		`{ "prompt" : {"model":"a"}, "mo\u0064el" : "a" , "n":1}`: `{ "prompt" : {"model":"a"}, "mo\u0064el" : "b\"c" , "n":1}`,
		`{"model":"a","model":"x"}`:                               `{"model":"b\"c","model":"b\"c"}`,
		`{"prompt":"a"}`:                                          `{"prompt":"a"}`,
		`{"model":"a"`:                                            `{"model":"a"`,
		`[]`:                                                      `[]`,
		``:                                                        ``,
	} {
		if got := string(withModel([]byte(body), `b"c`)); got != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}

// TestModelIsRewritten has a header name the model, by either of its names: the server is asked
// for that one, and gets neither.
func TestModelIsRewritten(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %q", body, r.ContentLength, first(r.Header, rewriteHeaders[:]))
	}))
	t.Cleanup(server.Close)
	r := newRig(t, 4, server.URL)
	const asked = `{"prompt":"hi","model":"base"}`
	for _, c := range []struct{ path, header, want string }{
		{"/v1/completions", rewriteHeaders[0], `{"prompt":"hi","model":"an-adapter"} 36 ""`},
		{"/v1/completions", rewriteHeaders[1], `{"prompt":"hi","model":"an-adapter"} 36 ""`},
		{"/v1/completions", "X-Other", asked + ` 30 ""`},
		{"/v1/files", rewriteHeaders[0], asked + ` 30 ""`},
	} {
		if _, body := r.post(t, c.path, asked, c.header, "an-adapter"); body != c.want {
			t.Errorf("%s with %s: the server got %s, want %s", c.path, c.header, body, c.want)
		}
	}
	if used := r.gateway.budget; used != nil {
		if _, n := used.figures(); n != 0 {
			t.Errorf("%d bytes are still taken", n)
		}
	}
}
