package stream

import (
	"context"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/proto"

	"github.com/weirflow/weir/coordinator"
	"github.com/weirflow/weir/coordinator/stream/ticketpb"
	"github.com/weirflow/weir/policies"
	"github.com/weirflow/weir/shard"
)

// patience is how long to wait for what must come, on a machine that has much else to do.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// end is one replica's streams and what came by them.
type end struct {
	*Streams
	up       chan bool
	messages chan coordinator.Message
	logs     *observer.ObservedLogs
	address  string
}

func (e *end) MembersChanged(coordinator.Members) {}
func (e *end) StreamChanged(_ string, up bool)    { e.up <- up }
func (e *end) Received(m coordinator.Message)     { e.messages <- m }

func start(t *testing.T, id string, configure func(*Config)) *end {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	cfg := Config{Listener: l, Replica: id, Incarnation: 7, Shards: 256, Logger: zap.New(core), Redial: 50 * time.Millisecond}
	if configure != nil {
		configure(&cfg)
	}
	streams, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e := &end{
		Streams: streams, up: make(chan bool, 100), messages: make(chan coordinator.Message, 100),
		logs: logs, address: l.Addr().String(),
	}
	e.Start(e)
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

func (e *end) member() coordinator.Member {
	return coordinator.Member{ID: e.cfg.Replica, Incarnation: e.cfg.Incarnation, Address: e.address}
}

func introduce(a, b *end) {
	a.SetMembers([]coordinator.Member{a.member(), b.member()})
	b.SetMembers([]coordinator.Member{a.member(), b.member()})
}

func wait[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// waitLog waits until the log says so.
func (e *end) waitLog(t *testing.T, text string) {
	t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		for _, entry := range e.logs.All() {
			for _, value := range entry.ContextMap() {
				if s, ok := value.(string); ok && strings.Contains(s, text) {
					return
				}
			}
		}
	}
	t.Fatalf("the log does not say %q: %v", text, e.logs.All())
}

func message(from, to string, queued int) coordinator.Message {
	m := coordinator.Message{
		From: from, Incarnation: 7, To: to, ToIncarnation: 8, Number: 3, Full: true,
		Gone: []uint64{4}, Acknowledged: 5, Resync: true, Rejected: []uint64{6}, Refusals: []shard.Refusal{{Cause: shard.FlowTokens, After: time.Second}}, Leaving: true, LedgerLost: true, Turn: 300 * time.Millisecond,
	}
	for i := range queued {
		m.Queued = append(m.Queued, shard.Ticket{
			ID: policies.TicketID{Ingress: from, Seq: uint64(i) + 1<<60}, Flow: policies.FlowKey{ID: "flow", Priority: -3},
			Bytes: 1, InputTokens: 2, OutputTokens: 3, Arrival: time.Unix(0, 17), Waited: true, TargetTTFT: 250 * time.Millisecond, ExpectedHold: 3 * time.Second,
		})
	}
	return m
}

// TestBothWays carries messages both ways over the one stream of a pair.
func TestBothWays(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	wait(t, "a's stream", a.up)
	wait(t, "b's stream", b.up)
	for _, way := range []struct{ from, to *end }{{a, b}, {b, a}} {
		m := message(way.from.cfg.Replica, way.to.cfg.Replica, 3)
		way.from.Send(m)
		if diff := cmp.Diff(m, wait(t, "the message", way.to.messages)); diff != "" {
			t.Errorf("from %s: %s", way.from.cfg.Replica, diff)
		}
	}
}

// TestBreaks wants both ends to hear that the stream broke.
func TestBreaks(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	wait(t, "a's stream", a.up)
	wait(t, "b's stream", b.up)
	b.Close(t.Context())
	if wait(t, "the break", a.up) {
		t.Error("a's stream is up again")
	}
}

// TestGarbage has a stranger send bytes to the ticket port; replicas go on.
func TestGarbage(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	introduce(a, b)
	wait(t, "a's stream", a.up)
	wait(t, "b's stream", b.up)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x00\xff\x13\x37", strings.Repeat("x", 1<<20)} {
		c, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(garbage)) // it may be cut off
		_ = c.Close()
	}
	a.Send(message("a", "b", 1))
	wait(t, "a message after the garbage", b.messages)
}

// TestRefuses wants a replica that cannot be worked with refused with both
// values.
func TestRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		configure func(*Config)
		want      string
	}{
		"other shards": {func(c *Config) { c.Shards = 128 }, `replica "a" has 128 shards, this one 256`},
		"same id":      {func(c *Config) { c.Replica = "b" }, `is this replica's own`},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, "a", tc.configure), start(t, "b", nil)
			id := "b"
			if a.cfg.Replica == "b" {
				id = "c" // so that a dials
			}
			a.SetMembers([]coordinator.Member{{ID: id, Address: b.address}})
			b.waitLog(t, tc.want)
			a.waitLog(t, tc.want)
		})
	}
}

func TestVersions(t *testing.T) {
	s := &Streams{cfg: Config{Replica: "b", Shards: 256}}
	for version, ok := range map[uint32]bool{
		coordinator.ProtocolVersion: true, coordinator.ProtocolVersion + 1: true, coordinator.ProtocolVersion - 1: true,
		coordinator.ProtocolVersion + 2: false,
	} {
		err := s.check(&ticketpb.Hello{ProtocolVersion: version, Shards: 256, Replica: "a", To: "b"})
		if (err == nil) != ok {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestTicketBounds refuses what a ledger could not count with.
func TestTicketBounds(t *testing.T) {
	for what, spoil := range map[string]func(*ticketpb.Ticket){
		"an arrival beyond what a ledger counts": func(q *ticketpb.Ticket) { q.Arrival = 1<<53*1000 + 1 },
		"an arrival before 1970":                 func(q *ticketpb.Ticket) { q.Arrival = uint64(math.MaxUint64) },
		"a deadline beyond what a ledger counts": func(q *ticketpb.Ticket) { q.Deadline = math.MaxInt64 },
		"tokens whose sum overflows":             func(q *ticketpb.Ticket) { q.InputTokens, q.OutputTokens = math.MaxInt64/2+1, math.MaxInt64/2+1 },
		"bytes whose sum overflows":              func(q *ticketpb.Ticket) { q.Bytes = math.MaxInt64 },
		"a target beyond all arrivals":           func(q *ticketpb.Ticket) { q.TargetTtft = math.MaxInt64 },
		"negative tokens":                        func(q *ticketpb.Ticket) { q.InputTokens = -1 },
	} {
		m := message("a", "b", 1)
		w := encode(&m)
		if _, err := decode(w, "a", 7, "b"); err != nil {
			t.Fatal(err)
		}
		spoil(w.Queued[0])
		if _, err := decode(w, "a", 7, "b"); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s was taken: %v", what, err)
		}
	}
}

// TestPreferencesOfPeers takes what a ticket prefers as a wish: one that can be no endpoint's
// name is none, and so is that of a peer that does not say.
func TestPreferencesOfPeers(t *testing.T) {
	for prefer, want := range map[string]string{
		"10.0.0.1:80":             "10.0.0.1:80",
		"":                        "",
		strings.Repeat("a", 512):  strings.Repeat("a", 512),
		strings.Repeat("a", 10e3): "",
		"not \xff text":           "",
	} {
		m := message("a", "b", 1)
		m.Queued[0].Prefer = prefer
		sent := encode(&m)
		if sent.GetQueued()[0].GetPrefer() != want {
			t.Errorf("%.20q is sent as %.20q", prefer, sent.GetQueued()[0].GetPrefer())
		}
		sent.Queued[0].Prefer = prefer
		got, err := decode(sent, "a", 7, "b")
		if err != nil || got.Queued[0].Prefer != want {
			t.Errorf("%.20q is taken as %.20q, %v", prefer, got.Queued[0].Prefer, err)
		}
	}
}

// FuzzDecode feeds whatever bytes to the decoder; what it takes it gives back the
// same.
func FuzzDecode(f *testing.F) {
	m := message("a", "b", 2)
	seed, err := proto.Marshal(encode(&m))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var w ticketpb.Message
		if proto.Unmarshal(data, &w) != nil {
			return
		}
		m, err := decode(&w, "a", 7, "b")
		if err != nil {
			return
		}
		for _, q := range m.Queued {
			if q.InputTokens+q.OutputTokens < 0 || q.Bytes < 0 || q.Arrival.UnixMicro() > 1<<53 || !q.Arrival.IsZero() && q.Arrival.UnixMicro() < 0 {
				t.Errorf("taken: %+v", q)
			}
		}
		again, err := decode(encode(&m), "a", 7, "b")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Error(diff)
		}
	})
}

// slowToHear takes its time to take in that a stream is down.
type slowToHear struct {
	*end
	down chan struct{} // closed once it may

	mu   sync.Mutex
	last []bool
}

func (s *slowToHear) StreamChanged(_ string, up bool) {
	if !up {
		<-s.down
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, up)
}

// TestLastWordIsTrue has a stream come up while the handler is still told that the one
// before is down: what it hears last must be that there is one.
func TestLastWordIsTrue(t *testing.T) {
	a, b := start(t, "a", nil), start(t, "b", nil)
	slow := &slowToHear{end: b, down: make(chan struct{})}
	b.handler = slow // nobody is connected yet
	introduce(a, b)
	wait(t, "a's stream", a.up)
	first := b.current(t, "a", nil)
	a.current(t, "b", nil).end(errors.New("broken by the test")) // it dials again
	b.current(t, "a", first)
	close(slow.down)
	told := func() []bool {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		return slices.Clone(slow.last)
	}
	for until := time.Now().Add(patience); len(told()) < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it heard %v", told())
		}
	}
	if heard := told(); !heard[len(heard)-1] {
		t.Errorf("it heard %v while the second stream is up", heard)
	}
}

// current waits for a stream to a peer that is another than before.
func (e *end) current(t *testing.T, peer string, before *conn) *conn {
	t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		e.mu.Lock()
		c := e.conns[peer]
		e.mu.Unlock()
		if c != nil && c != before {
			return c
		}
	}
	t.Fatalf("there is no stream to %s", peer)
	return nil
}
