package stream

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

// counting is a connection that counts what is written to it.
type counting struct {
	net.Conn
	written *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// tallying is a listener that knows how many of its connections are open.
type tallying struct {
	net.Listener
	open atomic.Int64
	most atomic.Int64 // when another one was waited for: what there is no room for is closed by then
}

func (l *tallying) Accept() (net.Conn, error) {
	l.most.Store(max(l.most.Load(), l.open.Load())) // of the one goroutine that accepts
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &tallied{Conn: conn, over: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

type tallied struct {
	net.Conn
	over func()
}

func (c *tallied) Close() error {
	c.over()
	return c.Conn.Close()
}

// TestHelloOfNobody has strangers say a well-formed hello, of a replica that gossip does not know, to one
// without a key: no more may come by their connections than by others', no more of them are open, and
// they are told why and closed.
func TestHelloOfNobody(t *testing.T) {
	var tally *tallying
	a := start(t, "a", func(c *Config) {
		tally = &tallying{Listener: c.Listener}
		c.Listener = tally
	})
	hello := func(written *atomic.Int64) (*grpc.ClientConn, grpc.BidiStreamingClient[ticketpb.Message, ticketpb.Message]) {
		client, err := grpc.NewClient("passthrough:///"+a.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Hour, MaxDelay: time.Hour}}), // it tries once
			grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
				return counting{conn, written}, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		stream, err := ticketpb.NewTicketsClient(client).Connect(t.Context())
		if err != nil {
			return client, nil
		}
		_ = stream.Send(&ticketpb.Message{Hello: &ticketpb.Hello{ProtocolVersion: coordinator.ProtocolVersion, Replica: "nobody", Incarnation: 7, Shards: 256}}) // it may be closed
		return client, stream
	}

	var written atomic.Int64
	client, _ := hello(&written)
	time.Sleep(100 * time.Millisecond) // the hello is read, and not yet refused
	if other, err := ticketpb.NewTicketsClient(client).Connect(t.Context()); err == nil {
		go func() {
			_ = other.Send(&ticketpb.Message{Hello: &ticketpb.Hello{Replica: strings.Repeat("x", 60<<20)}})
		}() // ends with its connection
	}
	for began := time.Now(); client.GetState() == connectivity.Ready && time.Since(began) < acquaintance; {
		time.Sleep(10 * time.Millisecond)
	}
	if n := written.Load(); n > 16<<20 { // what the kernel buffers at both ends is some megabytes
		t.Errorf("%d MB were taken from a stranger", n>>20)
	}

	told := make(chan bool, 3*maxUnknownFrom)
	for range cap(told) {
		_, stream := hello(new(atomic.Int64))
		go func() { // ends with its stream
			var err error
			if stream != nil {
				_, err = stream.Recv()
			}
			told <- err != nil && strings.Contains(err.Error(), "gossip does not know")
		}()
	}
	reasons := 0
	for range cap(told) {
		if wait(t, "the end of a stream", told) {
			reasons++
		}
	}
	if reasons == 0 {
		t.Error("none was told why")
	}
	if n := tally.most.Load(); n == 0 || n > maxUnknownFrom {
		t.Errorf("%d connections of strangers at one address were open, want at most %d", n, maxUnknownFrom)
	}
	for began := time.Now(); tally.open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > handshake*9/10 { // and not only after such a time without a stream
			t.Fatalf("%d connections are open that were refused", tally.open.Load())
		}
	}
}
