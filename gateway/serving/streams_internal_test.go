package serving

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/http2"

	"github.com/weirflow/weir/internal/certtest"
)

// secured is a server by TLS that has room for so many streams, its address, and clients that each have
// a connection of HTTP/2 of their own.
func secured(t *testing.T, room int, handler http.HandlerFunc) (*streams, string, func() *http.Client) {
	t.Helper()
	ca := certtest.New(t)
	certFile, keyFile := ca.Issue("server")
	cert, err := NewCertificate(certFile, keyFile, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen("--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handler, TLSConfig: cert.Config(), MaxHeaderBytes: streamBytes}
	wrapped := BoundHeads(server, l, int64(room)*2*streamBytes)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Until(ctx, time.Second, server, wrapped, func(context.Context) error { return nil }) }()
	t.Cleanup(func() {
		end()
		<-ended
	})
	client := func() *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	return wrapped.(*secureListener).streams, "https://" + l.Addr().String(), client
}

// eventually waits for a condition on what is counted.
func (s *streams) eventually(t *testing.T, what string, fits func(counted int) bool) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		counted := s.counted
		s.mu.Unlock()
		if fits(counted) {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s: %d streams are counted", what, counted)
		}
	}
}

// TestStreamsWaitForRoom has more requests come by a connection at once than there is room for heads:
// the others are not taken in until the first are admitted, and all are served.
func TestStreamsWaitForRoom(t *testing.T) {
	const room, requests = 8, 60
	var inside atomic.Int64
	admit := make(chan struct{})
	s, url, client := secured(t, room, func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.NegotiatedProtocol != "h2" || r.ProtoMajor != 2 {
			t.Errorf("a request by %s, TLS %v", r.Proto, r.TLS)
		}
		if r.Method == http.MethodGet {
			return
		}
		inside.Add(1)
		<-admit
		Admitted(r.Context())
		Admitted(r.Context()) // does nothing
		_, _ = io.Copy(w, r.Body)
	})
	c := client()
	first, err := c.Get(url) // whose connection the others come by
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Body.Close()
	answers := make(chan error, requests)
	for i := range requests {
		go func() {
			res, err := c.Post(url, "text/plain", strings.NewReader(fmt.Sprint(i)))
			if err == nil {
				var text []byte
				text, err = io.ReadAll(res.Body)
				if _ = res.Body.Close(); string(text) != fmt.Sprint(i) {
					err = fmt.Errorf("answered %q: %w", text, err)
				}
			}
			answers <- err
		}()
	}
	const most = room - room/firstsPart
	s.eventually(t, "there is no room", func(counted int) bool { return counted == most && inside.Load() >= most })
	time.Sleep(100 * time.Millisecond) // for more to come in
	if n := inside.Load(); n != most {
		t.Errorf("%d requests were taken in, there is room for %d", n, most)
	}
	close(admit)
	for range requests {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	s.eventually(t, "all have been served", func(counted int) bool { return counted == 0 })
}

// TestAnswersThatNobodyTakesMakeRoom has a connection take all the room by answers that its client has no
// window for: it is closed for another one's request.
func TestAnswersThatNobodyTakesMakeRoom(t *testing.T) {
	const room = 8
	s, url, client := secured(t, room, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	transport := client().Transport.(*http.Transport)
	transport.TLSClientConfig.NextProtos = []string{"h2"}
	closed := make(chan error, 2)
	for range cap(closed) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), transport.TLSClientConfig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		frames := http2.NewFramer(conn, nil)
		_, _ = io.WriteString(conn, http2.ClientPreface)
		_ = frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		for n := range uint32(room) {
			head := []byte{0x83, 0x87, 0x84, 0x01, 0x01, 'x'} // POST https / with an authority
			_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: head, EndHeaders: true, EndStream: true})
		}
		go func() {
			_, err := io.Copy(io.Discard, conn)
			closed <- err
		}()
	}
	s.eventually(t, "there is no room", func(counted int) bool { return counted >= room-room/firstsPart })
	for range 3 {
		res, err := client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(res.Body); string(text) != "served" {
			t.Errorf("answered %q", text)
		}
		_ = res.Body.Close()
	}
	<-closed // one of them at least
}

// TestUploadsLeaveRoom has some uploads on a connection that nobody reads: another one goes through.
func TestUploadsLeaveRoom(t *testing.T) {
	stalled, body := make(chan struct{}), strings.Repeat("x", 2<<20)
	_, url, client := secured(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stall" {
			<-stalled
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	c := client()
	upload := func(path string) error {
		res, err := c.Post(url+path, "text/plain", strings.NewReader(body))
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // it was only read
		if text, _ := io.ReadAll(res.Body); string(text) != fmt.Sprint(len(body)) {
			return fmt.Errorf("%q of %d bytes came", text, len(body))
		}
		return nil
	}
	if err := upload("/"); err != nil { // one connection from now on
		t.Fatal(err)
	}
	others := make(chan error, 4)
	for range cap(others) {
		go func() { others <- upload("/stall") }()
	}
	time.Sleep(200 * time.Millisecond) // for them to take the room that they get
	if err := upload("/"); err != nil {
		t.Errorf("beside uploads that nobody reads: %v", err)
	}
	close(stalled)
	for range cap(others) {
		if err := <-others; err != nil {
			t.Error(err)
		}
	}
}

// TestOlderClientsByTLS wants HTTP/1 by TLS, and a hint for those that speak no TLS.
func TestOlderClientsByTLS(t *testing.T) {
	_, url, client := secured(t, 8, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.TLS != nil) })
	c := client()
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	for range 2 {
		res, err := c.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if _ = res.Body.Close(); string(text) != "HTTP/1.1true" || err != nil {
			t.Errorf("answered %q, %v", text, err)
		}
	}
	res, err := c.Get(strings.Replace(url, "https", "http", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP got %d", res.StatusCode)
	}
}

// TestWithoutHTTP2 has Go told not to serve HTTP/2: clients are not offered it.
func TestWithoutHTTP2(t *testing.T) {
	t.Setenv("GODEBUG", "http2server=0")
	_, url, client := secured(t, 8, func(http.ResponseWriter, *http.Request) {})
	res, err := client().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusOK || res.ProtoMajor != 1 {
		t.Errorf("%s by %s", res.Status, res.Proto)
	}
}
