package serving

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"sync/atomic"
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
	go func() {
		ours := l.dial()
		_, _ = io.WriteString(ours, http2.ClientPreface) // or it is not accepted
		dialled <- ours
	}()
	conn, err := bounded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // as a server reads
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, atOnce))
		_ = conn.Close()
	}()
	ours := <-dialled
	t.Cleanup(func() { _ = ours.Close() })
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

// lends lends so many bytes.
type lends struct {
	most int64
	lent atomic.Int64
}

func (l *lends) Lend(bytes int64) bool {
	if l.lent.Load()+bytes > l.most {
		return false
	}
	l.lent.Add(bytes)
	return true
}

func (l *lends) TakeBack(bytes int64) { l.lent.Add(-bytes) }

// TestMessagesAreCounted follows streams of gRPC by what comes and goes on their connection: nothing is
// counted once a message is there, or the stream has ended by either side.
func TestMessagesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, 1<<20, 5*rpcLeast, &lends{})
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		counted := &m.used
		ours, f, server := rpc(t, l, bounded, 7)
		is := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := counted.Load(); got != want {
				t.Errorf("%s: %d bytes are counted, want %d", what, got, want)
			}
		}
		leaves := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.leaving != want {
				t.Errorf("%s: %d bytes have yet to be let go of, want %d", what, m.leaving, want)
			}
		}
		open := func(stream uint32) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{0x83}, EndHeaders: true})
		}
		_ = f.WriteSettings()
		is("no stream", 0)
		open(1)
		is("a stream", rpcBytes+rpcLineBytes)
		_ = f.WriteData(1, false, message(100)[:50])
		is("half a message", rpcBytes+rpcLineBytes+50)
		_ = f.WriteDataPadded(1, false, append(message(100)[50:], message(10)[:3]...), make([]byte, 9))
		is("the rest of it, and a part of the next one's prefix", 3)
		_ = f.WriteData(1, false, append(message(10)[3:], append(message(0), message(30)[:20]...)...))
		is("that, an empty one and a part of another", 20)
		open(3)
		open(5)
		open(7)
		_ = f.WriteData(7, false, message(1000)[:500])
		is("three more", 20+3*(rpcBytes+rpcLineBytes)+500)
		_ = f.WriteRSTStream(3, http2.ErrCodeCancel)
		is("one was given up", 20+2*(rpcBytes+rpcLineBytes)+500)
		leaves("one was given up", rpcBytes+rpcLineBytes)
		time.Sleep(patience)
		leaves("it is gone", 0)
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
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 9, BlockFragment: []byte{0x83, 0x84}})
		is("headers that have not come in whole", 20+rpcBytes+2*rpcLineBytes)
		_ = f.WriteContinuation(9, false, []byte{0x84})
		is("more of them", 20+rpcBytes+3*rpcLineBytes)
		_ = f.WriteContinuation(9, true, make([]byte, 100))
		is("more of them than may be", 20+rpcBytes+5*rpcLineBytes)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 11, BlockFragment: []byte{0x83}, EndHeaders: true, EndStream: true})
		is("one that says nothing", 20+2*rpcBytes+6*rpcLineBytes)
		_ = ours.Close()
		is("it is closed", 0)
		leaves("it is closed", 20+2*rpcBytes+6*rpcLineBytes)
		time.Sleep(patience)
		leaves("all is gone", 0)
	})
}

// TestMessagesThatDoNotComeInWhole are cut off beyond the bound: those that have held most for longest,
// at once beyond twice the bound and else after a second.
func TestMessagesThatDoNotComeInWhole(t *testing.T) {
	large := message(4 << 20)
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		lender := &lends{most: most}
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, most, 1<<10, lender)
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		begin := func(n int) {
			_, f, _ := rpc(t, l, bounded, 16<<10)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}, EndHeaders: true})
			for at := 0; at < n; at += 16 << 10 {
				_ = f.WriteData(1, false, large[at:at+16<<10]) // it may be cut off
			}
		}
		holds := func(n int) {
			begin(n)
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
		if n := open(); n != 2 {
			t.Errorf("%d connections are left: want the last of the large ones and the small one", n)
		}
		time.Sleep(patience) // until those that were cut off have let go
		synctest.Wait()
		if used := m.used.Load(); used > most {
			t.Errorf("%d bytes for longer", used)
		}
		for range 10 {
			go begin(512 << 10)
		}
		synctest.Wait()
		// Each of the twelve may have its part of the bound beside, and one read that waits.
		if used := m.used.Load(); used < mostAtOnce*most || used > (mostAtOnce+2)*most+12*16<<10 || lender.lent.Load() > used-mostAtOnce*most {
			t.Errorf("%d bytes at once, of which %d are lent", used, lender.lent.Load())
		}
		time.Sleep(2*patience + lookAgain)
		synctest.Wait()
		if used := m.used.Load(); used > most || lender.lent.Load() != 0 {
			t.Errorf("%d bytes for longer, and %d are lent", used, lender.lent.Load())
		}
		m.mu.Lock()
		left := slices.Collect(maps.Keys(m.conns))
		m.mu.Unlock()
		for _, c := range left {
			_ = c.Close()
		}
		time.Sleep(patience)
		synctest.Wait()
		if used := m.used.Load(); used != 0 || lender.lent.Load() != 0 {
			t.Errorf("%d bytes are counted for nothing, and %d are lent", used, lender.lent.Load())
		}
	})
}

// TestMessagesWaitForRoom wants whoever brings more than there is room for to wait for others' messages
// to be whole, which then cuts off nobody.
func TestMessagesWaitForRoom(t *testing.T) {
	part := message(512<<10 + 100)
	part, rest := part[:512<<10], part[512<<10:]
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		lender := &lends{most: most / 4 * 3}
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, most, 1<<10, lender)
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		var clients []*http2.Framer
		var conns []net.Conn
		begun := make(chan struct{})
		for i := range 6 {
			conn, f, _ := rpc(t, l, bounded, 16<<10)
			clients, conns = append(clients, f), append(conns, conn)
			begin := func() {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x83}, EndHeaders: true})
				for at := 0; at < len(part); at += 16 << 10 {
					if err := f.WriteData(1, false, part[at:at+16<<10]); err != nil {
						t.Errorf("connection %d was cut off: %v", i, err)
						return
					}
				}
			}
			if i < 5 { // this much is lent
				begin()
				continue
			}
			go func() { begin(); close(begun) }()
		}
		synctest.Wait()
		select {
		case <-begun:
			t.Fatalf("all of it was read, though %d bytes are in use", m.used.Load())
		default:
		}
		time.Sleep(patience / 2)
		for i, f := range clients[:5] {
			if err := f.WriteData(1, false, rest); err != nil {
				t.Errorf("connection %d was cut off: %v", i, err)
			}
			<-begun
		}
		if err := clients[5].WriteData(1, false, rest); err != nil {
			t.Errorf("the one that waited was cut off: %v", err)
		}
		synctest.Wait()
		m.mu.Lock()
		n := len(m.conns)
		m.mu.Unlock()
		if used := m.used.Load(); n != 6 || used != 0 || lender.lent.Load() != 0 {
			t.Errorf("%d of 6 connections are left, %d bytes are counted, %d lent", n, used, lender.lent.Load())
		}
		for _, c := range conns {
			_ = c.Close()
		}
	})
}
