package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
)

var key = bytes.Repeat([]byte{7}, 32)

// TestKey lets in who proves that it knows the fleet's key, with and without
// certificates, and nobody else.
func TestKey(t *testing.T) {
	fleet := newAuthority(t)
	fleet.sign(t, "one for all", time.Hour, false)
	fleet.sign(t, "b", time.Hour, false)
	one, own := fleet.config(t, "one for all", fleet), fleet.config(t, "b", fleet)
	for name, tc := range map[string]struct {
		dialer, listener func(*Config)
		want             string // in the log of the listener; "" for a stream
	}{
		"the key":            {func(c *Config) { c.Key = key }, func(c *Config) { c.Key = key }, ""},
		"with certificates":  {func(c *Config) { c.Key, c.TLS = key, one }, func(c *Config) { c.Key, c.TLS = key, one }, ""},
		"another key":        {func(c *Config) { c.Key = bytes.Repeat([]byte{8}, 32) }, func(c *Config) { c.Key = key }, "its gossip key is another one"},
		"no key":             {func(*Config) {}, func(c *Config) { c.Key = key }, "it does not speak TLS"},
		"only certificates":  {func(c *Config) { c.TLS = one }, func(c *Config) { c.Key = key }, "tls: bad certificate"},
		"in another's name":  {func(c *Config) { c.Key, c.TLS = nil, one }, func(c *Config) { c.Key, c.TLS = key, own }, "its certificate is not replica \"a\"'s"},
		"started in future":  {func(c *Config) { c.Key, c.Incarnation = key, 1<<64-1 }, func(c *Config) { c.Key = key }, "started in the future"},
		"another ledger":     {func(c *Config) { c.Key, c.Ledger = key, "x" }, func(c *Config) { c.Key, c.Ledger = key, "y" }, "keeps another ledger"},
		"the same ledger":    {func(c *Config) { c.Key, c.Ledger = key, "x" }, func(c *Config) { c.Key, c.Ledger = key, "x" }, ""},
		"a ledger not known": {func(c *Config) { c.Key, c.Ledger = key, "x" }, func(c *Config) { c.Key = key }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a", tc.dialer), start(t, "b", tc.listener)
			introduce(a, b)
			if tc.want == "" {
				wait(t, "the stream", b.up)
				return
			}
			b.waitLog(t, tc.want)
			if len(b.up) > 0 {
				t.Error("there is a stream")
			}
			if b.Refused() == 0 {
				t.Error("no refusal was counted")
			}
		})
	}
}

// TestUnknownToGossip refuses a replica that gossip does not know, or not this run of
// it, and lets it in once gossip does.
func TestUnknownToGossip(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	a.SetMembers([]coordinator.Member{a.member(), b.member()})
	other := a.member()
	other.Incarnation++
	b.SetMembers([]coordinator.Member{other, b.member()})
	b.waitLog(t, `replica "a" runs anew, and this is an earlier run`)
	b.SetMembers([]coordinator.Member{b.member()})
	b.waitLog(t, `gossip does not know replica "a"`)
	if len(b.up) > 0 {
		t.Error("there is a stream")
	}
	b.SetMembers([]coordinator.Member{a.member(), b.member()})
	if !wait(t, "the stream", b.up) {
		t.Error("the stream is down")
	}
	b.SetMembers([]coordinator.Member{other, b.member()})
	if wait(t, "the end of the stream", b.up) {
		t.Error("a stream with an earlier run stays up")
	}
}

// TestRelay has somebody stand between two replicas that pass on all that they say
// within TLS connections of its own: neither takes the other's proof.
func TestRelay(t *testing.T) {
	a, b := start(t, "a", func(c *Config) { c.Key = key }), start(t, "b", func(c *Config) { c.Key = key })
	between, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = between.Close() })
	own, err := ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	own.NextProtos = []string{provenProtocol}
	go func() { // ends with the listener
		for {
			conn, err := between.Accept()
			if err != nil {
				return
			}
			to, err := tls.Dial("tcp", b.address, own)
			if err != nil {
				_ = conn.Close()
				continue
			}
			from := tls.Server(conn, own)
			pass := func(dst, src *tls.Conn) {
				_, _ = io.Copy(dst, src)
				_ = dst.Close()
				_ = src.Close()
			}
			go pass(to, from)
			go pass(from, to)
		}
	}()
	m := b.member()
	m.Address = between.Addr().String()
	a.SetMembers([]coordinator.Member{a.member(), m})
	b.SetMembers([]coordinator.Member{a.member(), m})
	b.waitLog(t, "or somebody stands in between")
	if len(a.up)+len(b.up) > 0 {
		t.Error("there is a stream")
	}
}

// TestReflected returns a prover's own proof to it.
func TestReflected(t *testing.T) {
	for _, dialer := range []bool{true, false} {
		ours, theirs := net.Pipe()
		p := &prover{key: key, channel: []byte("c"), dialer: dialer, self: claim{Version: 3, Replica: "a"}, accept: func(claim) error { return nil }}
		done := make(chan error, 1)
		go func() {
			_, err := p.prove(ours)
			_ = ours.Close()
			done <- err
		}()
		if !dialer { // it waits for a claim to begin with
			c := claim{Version: 3, Replica: "a"}
			_ = writeFrame(theirs, claimFrame, c.encode())
			body, err := readFrame(theirs, claimFrame)
			if err != nil {
				t.Fatal(err)
			}
			mirrored, _ := decodeClaim(body)
			// The proof of a dialer of the same claims, as the listener itself would make
			// it for its own side.
			q := &prover{key: key, channel: []byte("c")}
			_ = writeFrame(theirs, proofFrame, q.mac(false, [2]claim{c, mirrored}))
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
		} else {
			go func() { _, _ = io.Copy(theirs, theirs) }()
		}
		if err := <-done; !errors.Is(err, errUnproven) {
			t.Errorf("dialer %v: %v", dialer, err)
		}
		_ = theirs.Close()
	}
}

// TestStranger speaks without TLS to a fleet with a key: it is not
// let near the messages.
func TestStranger(t *testing.T) {
	b := start(t, "b", func(c *Config) { c.Key = key })
	client, err := grpc.NewClient("passthrough:///"+b.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // a test
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := ticketpb.NewTicketsClient(client).Connect(ctx)
	if err == nil {
		_ = stream.Send(&ticketpb.Message{Hello: &ticketpb.Hello{ProtocolVersion: 2, Shards: 256, Replica: "a", To: "b"}})
		_, err = stream.Recv()
	}
	if err == nil {
		t.Error("a stranger was let in")
	}
	b.waitLog(t, "it does not speak TLS, as a replica without the gossip key")
}

// FuzzClaim feeds whatever bytes to the exchange of proofs.
func FuzzClaim(f *testing.F) {
	c := claim{Version: 3, Replica: "a", Incarnation: 7}
	var whole bytes.Buffer
	_ = writeFrame(&whole, claimFrame, c.encode())
	_ = writeFrame(&whole, proofFrame, make([]byte, 32))
	f.Add(whole.Bytes(), true)
	f.Add(whole.Bytes(), false)
	f.Add([]byte{3, 0, 2, 'n', 'o'}, false)
	f.Fuzz(func(t *testing.T, data []byte, dialer bool) {
		p := &prover{key: key, channel: []byte("c"), dialer: dialer, self: claim{Version: 3, Replica: "b"}, accept: func(claim) error { return nil }}
		if _, err := p.prove(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(data), io.Discard}); err == nil {
			t.Error("something else than a proof was taken for one")
		}
	})
}
