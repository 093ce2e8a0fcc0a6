package serving

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Honest clients beside the bounds on memory.

// TestFirstUploads: a client may send 64 kB before it knows what a stream's window is.
func TestFirstUploads(t *testing.T) {
	_, url, client := secured(t, 8, func(_ http.ResponseWriter, r *http.Request) {
		Admitted(r.Context())
		_, _ = io.Copy(io.Discard, r.Body)
	})
	for range 20 {
		res, err := client().Post(url, "text/plain", strings.NewReader(strings.Repeat("x", 200_000)))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
}

// TestHeadsThatDoNotComeInWhole hold their room for no longer than a second once it is wanted.
func TestHeadsThatDoNotComeInWhole(t *testing.T) {
	const room = 8
	s, url, client := secured(t, room, func(_ http.ResponseWriter, r *http.Request) { Admitted(r.Context()) })
	for range room {
		conn, _ := dialHTTP2(t, url, client())
		begin := append([]byte(http2.ClientPreface), 0, 0, 0, 4, 0, 0, 0, 0, 0) // and no settings
		_, _ = conn.Write(append(begin, 0, 0x10, 0, 1, 4, 0, 0, 0, 1))
	}
	s.eventually(t, "full", func(n int) bool { return n == room })
	began := time.Now()
	res, err := client().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("another was answered after %v", took)
	}
}

// TestAnsweredBeforeTheHandler: what net/http refuses by itself takes no room from those that come
// after it on a connection that is never idle.
func TestAnsweredBeforeTheHandler(t *testing.T) {
	const room = 16
	_, url, client := secured(t, room, func(w http.ResponseWriter, r *http.Request) {
		Admitted(r.Context())
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/long" {
			<-r.Context().Done()
		}
	})
	conn, f := dialHTTP2(t, url, client())
	_, _ = io.WriteString(conn, http2.ClientPreface)
	_ = f.WriteSettings()
	send := func(stream uint32, fields ...string) {
		fields = append([]string{":method", "GET", ":scheme", "https", ":authority", "x"}, fields...)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: headOf(fields...), EndHeaders: true, EndStream: true})
	}
	send(1, ":path", "/long")
	if got := ended(conn, f, 1); got != "200" {
		t.Fatalf("the long answer: %s", got)
	}
	stream := uint32(3)
	for range 2 * room {
		send(stream, ":path", "/", "bad header", "x")
		if got := ended(conn, f, stream); got == "200" {
			t.Fatal("a bad header was let in")
		}
		stream += 2
	}
	began := time.Now()
	send(stream, ":path", "/")
	if got, took := ended(conn, f, stream), time.Since(began); got != "200" || took > 8*time.Second {
		t.Errorf("another on that connection: %s after %v", got, took)
	}
}

// TestLargestHead: as large a head as may be is let in however little there is for all.
func TestLargestHead(t *testing.T) {
	l, err := Listen("--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), MaxHeaderBytes: 1 << 20}
	wrapped := BoundHeads(server, l, 4<<20)
	go func() { _ = server.Serve(wrapped) }()
	t.Cleanup(func() { _ = server.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", strings.Repeat("x", 900_000))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// dialHTTP2 connects to a server that secured has made.
func dialHTTP2(t *testing.T, url string, c *http.Client) (net.Conn, *http2.Framer) {
	t.Helper()
	cfg := c.Transport.(*http.Transport).TLSClientConfig.Clone()
	cfg.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	return conn, f
}

// headOf is the fields of a head, names and values in turn.
func headOf(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return b.Bytes()
}

// ended reads until a stream is answered or reset, and returns the status or what was wrong.
func ended(conn net.Conn, f *http2.Framer, stream uint32) string {
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		read, err := f.ReadFrame()
		if err != nil {
			return err.Error()
		}
		switch frame := read.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return frame.ErrCode.String()
			}
		}
	}
}
