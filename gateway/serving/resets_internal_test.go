package serving

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// givenUp is so many streams from a number on, each given up as soon as it is opened.
func givenUp(from uint32, n int) []byte {
	var out bytes.Buffer
	f := http2.NewFramer(&out, nil)
	head := headOf(":method", "POST", ":scheme", "http", ":authority", "weir", ":path", "/grpc.health.v1.Health/Check", "content-type", "application/grpc", "te", "trailers")
	for i := range uint32(n) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: from + 2*i, BlockFragment: head, EndHeaders: true}) // a buffer takes all
		_ = f.WriteRSTStream(from+2*i, http2.ErrCodeCancel)
	}
	return out.Bytes()
}

// TestResetsHoldUpNobody has strangers give up streams as soon as they are opened: 80 messages of 120 kB
// that another connection brings at once are answered meanwhile, and wait for nothing. By a clock that
// stands while there is something to do, so that the time that they take is what they wait.
func TestResetsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := grpc.NewServer(grpc.MaxConcurrentStreams(1000), grpc.InitialWindowSize(64<<10), grpc.InitialConnWindowSize(1<<20))
		grpc_health_v1.RegisterHealthServer(server, health.NewServer())
		go func() { _ = server.Serve(BoundMessages(l, nil, 4<<20, 16<<10, &lends{most: 8 << 20})) }()
		conn, err := grpc.NewClient("passthrough:///near", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.dial(), nil }))
		if err != nil {
			t.Fatal(err)
		}
		client := grpc_health_v1.NewHealthClient(conn)
		large := strings.Repeat("x", 120<<10)
		ask := func() time.Duration {
			began := time.Now()
			var all sync.WaitGroup
			for range 80 {
				all.Go(func() {
					if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: large}); status.Code(err) != codes.NotFound {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return time.Since(began)
		}
		ask()
		stop := make(chan struct{})
		var strangers sync.WaitGroup
		for range 32 {
			strangers.Go(func() {
				c := l.dial()
				defer c.Close()                                                                      //nolint:errcheck // nothing is written that matters
				go func() { _, _ = io.Copy(io.Discard, c) }()                                        // ends with the connection
				_, _ = io.WriteString(c, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and settings
				for from := uint32(1); ; from += 400 {
					_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
					if _, err := c.Write(givenUp(from, 200)); err != nil {
						return // it is held back, which is as well
					}
					select {
					case <-time.After(250 * time.Millisecond):
					case <-stop:
						return
					}
				}
			})
		}
		var longest time.Duration
		for began := time.Now(); time.Since(began) < 2*time.Second && !t.Failed(); time.Sleep(250 * time.Millisecond) {
			longest = max(longest, ask())
		}
		t.Logf("80 messages were answered within %v", longest)
		if longest > 900*time.Millisecond { // whoever waits for others' that are let go of waits for a second
			t.Errorf("80 messages were answered after %v", longest)
		}
		close(stop)
		strangers.Wait()
		_ = conn.Close()
		server.Stop()
		time.Sleep(2 * patience) // until what they gave up counts no more
	})
}

// TestResetsAreHeldBack wants who gives up streams as fast as it goes to wait until what serves them is
// let go of, also if it connects anew.
func TestResetsAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, atOnce = 1 << 20, 1 << 10
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, most, 1<<10, &lends{})
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		var conns []net.Conn
		for range 4 {
			conn, _, _ := rpc(t, l, bounded, atOnce)
			conns = append(conns, conn)
			go func() { _, _ = conn.Write(givenUp(1, 1000)) }()
			synctest.Wait()
		}
		m.mu.Lock()
		leaving := m.leaving
		m.mu.Unlock()
		// Beside the bound, each has its part at most and what one read may bring.
		stream := len(givenUp(1, 1))
		oneRead := int64(atOnce/stream+1) * (rpcBytes + 31*rpcLineBytes)
		if leaving < most/2 || leaving > 2*most+4*oneRead {
			t.Errorf("%d bytes have yet to be let go of, with a bound of %d", leaving, most)
		}
		for _, c := range conns {
			_ = c.Close()
		}
		time.Sleep(2 * patience) // until those that were held back have noticed
	})
}

// TestOneConnectionWaitsForNobody has one connection bring messages of which more is there than may be
// before any is whole: they are made whole by what comes next, and it is not cut off.
func TestOneConnectionWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, streams = 1 << 20, 30
		l := &near{conns: make(chan net.Conn), closed: make(chan struct{})}
		bounded := BoundMessages(l, nil, most, 1<<10, &lends{})
		defer bounded.Close() //nolint:errcheck // of a test
		m := bounded.(*messageListener).messages
		ours, f, _ := rpc(t, l, bounded, 16<<10)
		part := message(80 << 10)
		began := time.Now()
		for n := range uint32(streams) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: []byte{0x83}, EndHeaders: true})
		}
		for at := 0; at < len(part); at += 16 << 10 {
			for n := range uint32(streams) {
				if err := f.WriteData(2*n+1, false, part[at:min(at+16<<10, len(part))]); err != nil {
					t.Fatalf("it was cut off with %d bytes: %v", m.used.Load(), err)
				}
			}
		}
		synctest.Wait()
		if used := m.used.Load(); used != 0 || time.Since(began) > 0 {
			t.Errorf("%d bytes are counted, after %v", used, time.Since(began))
		}
		_ = ours.Close()
		time.Sleep(patience)
	})
}

// TestRoomDoesNotLookAtAllStreams has many streams be open that have sent their messages: while more is
// used than may be for longer, what comes looks through them no more often than every now and then.
func TestRoomDoesNotLookAtAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		m := &messages{most: most, lender: &lends{}, idle: boundIdle(most), conns: make(map[*messageConn]struct{})}
		c := &messageConn{messages: m, streams: map[uint32]*incoming{1: {began: time.Now(), takes: most + 1}}}
		m.conns[c] = struct{}{}
		m.used.Store(most + 1)
		m.room(c, most+1, 1)
		c.mu.Lock() // who looks waits for it
		looks := make(chan struct{})
		go func() {
			m.room(c, most+1, 1)
			close(looks)
		}()
		synctest.Wait()
		select {
		case <-looks:
		default:
			t.Error("it has looked again at once")
		}
		c.mu.Unlock()
		m.used.Store(0)
		time.Sleep(2 * lookAgain)
	})
}
