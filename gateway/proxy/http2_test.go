package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/internal/rig"
)

// byHTTP2 is the rig's door by TLS and HTTP/2, and a client of it.
func byHTTP2(t *testing.T, r *rig.Rig) (url string, client *http.Client) {
	t.Helper()
	server := httptest.NewUnstartedServer(r.Server.Config.Handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, server.Client()
}

// TestServerPausesOverHTTP2 wants a server to be able to pause in its answer for longer than a client
// may take nothing: this one takes all that there is.
func TestServerPausesOverHTTP2(t *testing.T) {
	t.Parallel()                                   // it mostly waits
	const bound, parts = 500 * time.Millisecond, 2 // the gateway has a CPU within the bound, to write what has come
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		time.Sleep(2 * bound)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		for range parts {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * bound)
			fmt.Fprint(w, "data: {}\n\n")
		}
	}))
	t.Cleanup(upstream.Close)
	url, client := byHTTP2(t, rig.With(t, 1, nil, rig.Bounded(flows.Timeouts{Client: bound}), upstream.URL))
	res, err := client.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(rig.Chat))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != strings.Repeat("data: {}\n\n", parts) || res.ProtoMajor != 2 {
		t.Errorf("%q by %s, %v", body, res.Proto, err)
	}
}

// TestClientTakesNothingOverHTTP2 wants a client that reads nothing of a long answer to lose its slot.
func TestClientTakesNothingOverHTTP2(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := io.WriteString(w, strings.Repeat("x", 32<<10)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(upstream.Close)
	r := rig.With(t, 1, nil, rig.Bounded(flows.Timeouts{Client: 200 * time.Millisecond}), upstream.URL)
	url, client := byHTTP2(t, r)
	res, err := client.Post(url+"/v1/rerank", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it is not read
	r.NothingHeld(t)
	if n := r.OverBound(t, "client"); n != 1 {
		t.Errorf("%v requests ended for their client, want 1", n)
	}
}

// TestRefusalKeepsConnectionOfHTTP2 wants a request that is refused before its body was read to leave
// the connection to the other requests on it.
func TestRefusalKeepsConnectionOfHTTP2(t *testing.T) {
	url, client := byHTTP2(t, rig.New(t, 1, rig.ModelServer(t)))
	used := make(map[string]bool)
	for range 4 {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { used[i.Conn.LocalAddr().String()] = true }})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", strings.NewReader(strings.Repeat("x", 100<<10)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = res.Body.Close(); res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("answered %d, want 413", res.StatusCode)
		}
	}
	if len(used) != 1 {
		t.Errorf("%d connections were used one after the other, want 1", len(used))
	}
}
