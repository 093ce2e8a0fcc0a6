package serving

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// rpc is a client's side of a connection whose messages are bounded, and what counts them. So many bytes
// are read at once.
func rpc(t *testing.T, l *near, bounded net.Listener, atOnce int) (net.Conn, *http2.Framer, *messageConn) {
	t.Helper()
	dialled := make(chan net.Conn, 1)
	go func() { dialled <- l.dial() }()
	conn, err := bounded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours := <-dialled
	t.Cleanup(func() { _ = ours.Close() })
	go func() { // as a server reads
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, atOnce))
		_ = conn.Close()
	}()
	if _, err := io.WriteString(ours, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(ours, nil)
	f.AllowIllegalWrites = true
	return ours, f, conn.(*messageConn)
}

// message is a message of gRPC.
func message(size int) []byte {
	b := make([]byte, 5+size)
	binary.BigEndian.PutUint32(b[1:], uint32(size))
	return b
}

// TestMessagesAreCounted follows streams of gRPC by what comes and goes on their connection: nothing is
// counted once a message is there, or the stream has ended by either side.
func TestMessagesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, 1<<20)
		counted := &bounded.(*messageListener).messages.used
		ours, f, server := rpc(t, l, bounded, 7)
		is := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := counted.Load(); got != want {
				t.Errorf("%s: %d bytes are counted, want %d", what, got, want)
			}
		}
		open := func(stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x83}, EndHeaders: true})
		}
		_ = f.WriteSettings()
		is("no stream", 0)
		open(1)
		is("a stream", rpcBytes)
		_ = f.WriteData(1, false, message(100)[:50])
		is("half a message", rpcBytes+50)
		_ = f.WriteDataPadded(1, false, append(message(100)[50:], message(10)[:3]...), make([]byte, 9))
		is("the rest of it, and a part of the next one's prefix", 3)
		_ = f.WriteData(1, false, append(message(10)[3:], append(message(0), message(30)[:20]...)...))
		is("that, an empty one and a part of another", 20)
		open(3)
		open(5)
		open(7)
		_ = f.WriteData(7, false, message(1000)[:500])
		is("three more", 20+3*rpcBytes+500)
		_ = f.WriteRSTStream(3, http2.ErrCodeCancel)
		is("one was given up", 20+2*rpcBytes+500)
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		var answers bytes.Buffer
		out := http2.NewFramer(&answers, nil)
		_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{0x88}, EndHeaders: true})
		_ = out.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
		_ = out.WriteRSTStream(7, http2.ErrCodeCancel)
		for _, b := range answers.Bytes() {
			_, _ = server.Write([]byte{b})
		}
		is("the server ended two", 20)
		_ = f.WriteData(7, false, message(1000)[:500])
		is("more for one of those", 20)
		_ = ours.Close()
		is("it is closed", 0)
	})
}

// TestMessagesThatDoNotComeInWhole are cut off beyond the bound: those that have held most for longest,
// at once beyond twice the bound and else after a second.
func TestMessagesThatDoNotComeInWhole(t *testing.T) {
	large := message(4 << 20)
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, most)
		m := bounded.(*messageListener).messages
		holds := func(n int) {
			_, f, _ := rpc(t, l, bounded, 16<<10)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}, EndHeaders: true})
			for at := 0; at < n; at += 16 << 10 {
				_ = f.WriteData(1, false, large[at:at+16<<10]) // it may be cut off
			}
			synctest.Wait()
		}
		open := func() int {
			m.mu.Lock()
			defer m.mu.Unlock()
			return len(m.conns)
		}
		for range 3 {
			holds(512 << 10)
		}
		if n := open(); n != 3 {
			t.Fatalf("%d of 3 connections are left that have just begun", n)
		}
		time.Sleep(patience)
		holds(16 << 10)
		if n, used := open(), m.used.Load(); n != 2 || used > most {
			t.Errorf("%d connections are left, with %d bytes: want the last of the large ones and the small one", n, used)
		}
		for range 10 {
			holds(512 << 10)
		}
		if used := m.used.Load(); used > mostAtOnce*most {
			t.Errorf("%d bytes at once", used)
		}
		m.mu.Lock()
		left := slices.Collect(maps.Keys(m.conns))
		m.mu.Unlock()
		for _, c := range left {
			_ = c.Close()
		}
		if used := m.used.Load(); used != 0 {
			t.Errorf("%d bytes are counted for nothing", used)
		}
	})
}
