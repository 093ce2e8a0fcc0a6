package proxy_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/weirflow/weir/gateway/flows"
	"github.com/weirflow/weir/gateway/headers"
	"github.com/weirflow/weir/gateway/internal/rig"
	"github.com/weirflow/weir/gateway/refusal"
)

// TestStreamsChunkByChunk wants each chunk before the server makes the next.
func TestStreamsChunkByChunk(t *testing.T) {
	proceed := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-proceed
		}
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	res, err := r.Client.Post(r.URL+"/v1/chat/completions", "application/json", strings.NewReader(rig.Chat))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test
	lines := bufio.NewScanner(res.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf(`data: {"n":%d}`, i) {
			t.Fatalf("chunk %d: %q, %v", i, lines.Text(), lines.Err())
		}
		lines.Scan()
		proceed <- struct{}{}
	}
}

// TestServerDiesMidStream wants the client to see the answer break off, and the
// slot back.
func TestServerDiesMidStream(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	for range 3 { // the only slot is free again each time
		res, err := r.Client.Post(r.URL+"/v1/chat/completions", "application/json", strings.NewReader(rig.Chat))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Error("the answer ended well although the server died")
		}
		_ = res.Body.Close()
	}
}

// TestServerEndsLate wants an answer to end well whose server ends it longer after its last part
// than a client may take nothing.
func TestServerEndsLate(t *testing.T) {
	t.Parallel()                         // it mostly waits
	const bound = 500 * time.Millisecond // within which the gateway has a CPU to write what has come
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: [DONE]\n\n")
		_ = http.NewResponseController(w).Flush()
		time.Sleep(2 * bound)
	}))
	t.Cleanup(upstream.Close)
	r := rig.With(t, 1, nil, rig.Bounded(flows.Timeouts{Client: bound}), upstream.URL)
	if res, body := r.Post(t, "/v1/chat/completions", rig.Chat); res.StatusCode != http.StatusOK || body != "data: [DONE]\n\n" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// TestStrangeAnswersReturnSlots wants the slot back and the connection closed after
// answers that net/http's proxy does not copy to the client.
func TestStrangeAnswersReturnSlots(t *testing.T) {
	for name, answer := range map[string]string{
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"status 000":          "HTTP/1.1 000 Nothing\r\nContent-Length: 2\r\n\r\nok",
		"status 099":          "HTTP/1.1 099 Less\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, open := rig.RawServer(t, answer)
			r := rig.New(t, 4, url)
			for range 6 {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/chat/completions", strings.NewReader(rig.Chat))
				if err != nil {
					t.Fatal(err)
				}
				res, err := r.Client.Do(req)
				if err != nil {
					continue // cut off, as by a server that fails
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusBadGateway {
					t.Errorf("answered %d, want 502", res.StatusCode)
				}
			}
			r.NothingHeld(t)
			rig.Eventually(t, func() string {
				if n := open(); n > 0 {
					return fmt.Sprintf("%d connections to the server stay open", n)
				}
				return ""
			})
		})
	}
}

// TestClientsThatTakeNothing has clients read nothing of long answers: each loses its slot
// after a while, and others go on.
func TestClientsThatTakeNothing(t *testing.T) {
	chunk := "data: " + strings.Repeat("x", 32<<10) + "\n\n"
	reached := make(chan struct{}, 2)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Header.Get("X-Short") != "" {
			return
		}
		reached <- struct{}{}
		for range 1000 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(upstream.Close)
	r := rig.With(t, 2, nil, rig.Bounded(flows.Timeouts{Client: 200 * time.Millisecond}), upstream.URL)
	for range 2 {
		r.Begin(t, "POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\n\r\n{}")
	}
	for range 2 {
		select {
		case <-reached:
		case <-time.After(30 * time.Second):
			t.Fatal("the requests do not go")
		}
	}
	began := time.Now()
	if res, body := r.Post(t, "/v1/rerank", "{}", "X-Short", "yes"); res.StatusCode != http.StatusOK {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if took := time.Since(began); took > 20*time.Second { // without the bound it would never end
		t.Errorf("it waited %v for clients that take nothing", took)
	}
	r.NothingHeld(t)
	if n := r.OverBound(t, "client"); n != 2 {
		t.Errorf("%v requests ended for their clients, want 2", n)
	}
	for _, e := range r.Pool.Endpoints().Endpoints() {
		if !e.Status().Healthy {
			t.Error("the server is held to be at fault")
		}
	}
}

// TestServersThatDoNotAnswer wants a server that does not answer, or stops in its answer, to
// lose the request and to be left out of the choice.
func TestServersThatDoNotAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		begins   bool
		timeouts flows.Timeouts
		bound    string
		healthy  bool
	}{
		"no first byte":    {false, flows.Timeouts{FirstByte: 100 * time.Millisecond}, "first_byte", false},
		"stops":            {true, flows.Timeouts{BetweenBytes: 100 * time.Millisecond}, "between_bytes", false},
		"goes on too long": {true, flows.Timeouts{Request: 2 * time.Second}, "request", true}, // within which it begins
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.begins {
					_, _ = io.WriteString(w, "data: {}\n\n")
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			t.Cleanup(upstream.Close)
			r := rig.With(t, 1, nil, rig.Bounded(c.timeouts), upstream.URL)
			began := time.Now()
			res, err := r.Client.Post(r.URL+"/v1/completions", "application/json", strings.NewReader(rig.Chat))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if c.begins && err == nil || !c.begins && res.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("%d %s, %v", res.StatusCode, body, err)
			}
			if took := time.Since(began); took > 20*time.Second { // without the bound it would never end
				t.Errorf("it took %v", took)
			}
			if strings.Contains(string(body), strings.TrimPrefix(upstream.URL, "http://")) {
				t.Errorf("the client is told of the server: %s", body)
			}
			r.NothingHeld(t)
			if n := r.OverBound(t, c.bound); n != 1 {
				t.Errorf("%v requests beyond the bound, want 1", n)
			}
			if healthy := r.Pool.Endpoints().Endpoints()[0].Status().Healthy; healthy != c.healthy {
				t.Errorf("the server's health is %v", healthy)
			}
		})
	}
}

// TestInterimAnswers has a server send answers before the answer without end to a client that
// reads nothing: the slot comes back by the request's bounds.
func TestInterimAnswers(t *testing.T) {
	for name, size := range map[string]int{"small ones": 200, "large ones": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			hint := "HTTP/1.1 103 Early Hints\r\nLink: " + strings.Repeat("x", size) + "\r\n\r\n"
			arrived := make(chan struct{}, 1)
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				select {
				case arrived <- struct{}{}:
				default:
				}
				for err == nil {
					_, err = io.WriteString(conn, hint)
				}
				_ = conn.Close()
			}))
			t.Cleanup(upstream.Close)
			r := rig.With(t, 1, nil, rig.Bounded(flows.Timeouts{Client: 200 * time.Millisecond, FirstByte: time.Second}), upstream.URL)
			r.Begin(t, "POST /v1/rerank HTTP/1.1\r\nHost: weir\r\nContent-Length: 2\r\n\r\n{}")
			select {
			case <-arrived: // large ones end the request at once, before anybody can see it in flight
			case <-time.After(30 * time.Second):
				t.Fatal("the request does not go")
			}
			r.NothingHeld(t)
		})
	}
}

// TestHeadsOfAnswers has a server answer with heads as large as one may be, and larger.
func TestHeadsOfAnswers(t *testing.T) {
	for size, want := range map[int]int{60 << 10: http.StatusOK, 70 << 10: http.StatusBadGateway} {
		head := strings.Repeat("A: "+strings.Repeat("x", 1<<10)+"\r\n", size>>10)
		upstream, _ := rig.RawServer(t, "HTTP/1.1 200 OK\r\n"+head+"Content-Length: 2\r\n\r\n{}")
		r := rig.New(t, 1, upstream)
		if res, body := r.Post(t, "/v1/chat/completions", rig.Chat); res.StatusCode != want {
			t.Errorf("a head of %d kB is answered with %d %q, want %d", size>>10, res.StatusCode, body, want)
		}
		r.NothingHeld(t)
	}
}

// TestFewInterimAnswers has a server send many answers before the answer: the client gets the first
// of them, and the answer, without what the others had in their headers.
func TestFewInterimAnswers(t *testing.T) {
	const sent, passed = 40, 16
	upstream, _ := rig.RawServer(t, strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n", sent)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
	r := rig.New(t, 1, upstream)
	hints := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		if hints++; code != http.StatusEarlyHints {
			t.Errorf("an answer before the answer has the status %d", code)
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+"/v1/rerank", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK || string(body) != "{}" || res.Header.Get("Link") != "" {
		t.Errorf("answered %d %q, %v: %v", res.StatusCode, body, err, res.Header)
	}
	if hints != passed {
		t.Errorf("%d of %d answers before the answer were passed on, want %d", hints, sent, passed)
	}
	r.NothingHeld(t)
}

// TestUsageBeforeMuchElse wants what an answer cost to be counted where much comes after it,
// as the logprobs of a prompt do.
func TestUsageBeforeMuchElse(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"usage":{"prompt_tokens":50,"completion_tokens":4},"prompt_logprobs":"`+strings.Repeat("x", 200<<10)+`"}`)
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	r.Post(t, "/v1/chat/completions", rig.Chat, headers.Flow[0], "a")
	if f := r.Settled(t, "a"); f.TokensIn != 50 || f.TokensOut != 4 {
		t.Errorf("%+v for a prompt of 50 tokens and an answer of 4", f)
	}
}

// TestUsageIsNotCompressed has a client ask for compressed answers, in which nobody could read what
// they cost, of a server that has them.
func TestUsageIsNotCompressed(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var to io.Writer = w
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			defer packed.Close() //nolint:errcheck // the client is there
			to = packed
		}
		_, _ = io.WriteString(to, `{"usage":{"prompt_tokens":50,"completion_tokens":4}}`)
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	r.Post(t, "/v1/chat/completions", rig.Chat, headers.Flow[0], "a", "Accept-Encoding", "gzip, br")
	if f := r.Settled(t, "a"); f.TokensIn != 50 || f.TokensOut != 4 {
		t.Errorf("%+v for a prompt of 50 tokens and an answer of 4", f)
	}
}

// TestOnlyOwnRefusalsSaySo wants what says that the gateway refused to come from it alone.
func TestOnlyOwnRefusalsSaySo(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Weir-Refused-By, X-Other")
		w.Header().Set(refusal.ByHeader, "forged")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "busy")
		w.Header().Set("X-Other", "kept")
		w.Header().Set(http.TrailerPrefix+"X-Weir-Refused-By", "forged")
	}))
	t.Cleanup(upstream.Close)
	r := rig.New(t, 1, upstream.URL)
	res, body := r.Post(t, "/v1/chat/completions", rig.Chat)
	if body != "busy" || res.Header.Get(refusal.ByHeader) != "" || res.Trailer.Get(refusal.ByHeader) != "" || res.Trailer.Get("X-Other") != "kept" {
		t.Errorf("%q, headers %v, trailers %v", body, res.Header, res.Trailer)
	}
}
